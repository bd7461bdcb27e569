"""Where the commands print their tables."""

import os
import sys

from rich.console import Console

WIDTH_IN_FILES = 120  # columns


def table_console() -> Console:
    """As wide as the terminal, or as COLUMNS says; else, in files and pipes, wide enough."""
    in_file = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=WIDTH_IN_FILES if in_file else None)
