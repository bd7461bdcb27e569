"""What the commands that talk to a server share."""

import argparse
import os

from ..client import DEFAULT_URL


class CommandFailed(Exception):
    """The message is the one line that the user sees."""


def add_connection_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=os.environ.get("FEWSTEP_URL", DEFAULT_URL),
        help="the server (FEWSTEP_URL; default: %(default)s)",
    )
    parser.add_argument(
        "--api-key",
        default=os.environ.get("FEWSTEP_API_KEY"),
        metavar="KEY",
        help="where the server asks for one (FEWSTEP_API_KEY)",
    )
