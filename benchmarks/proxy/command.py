"""`./run bench proxy [--only cost|ranks] [--quick] [--out FOLDER]`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from diffusion_core.host import keep_freed_memory

from ..processes import BenchmarkError
from ..results import RESULTS, Result
from . import cost, ranks

MEASUREMENTS: dict[str, Callable[[bool], Result]] = {"cost": cost.measure, "ranks": ranks.measure}


def main(arguments: list[str]) -> int:
    """Measure; returns 1 where a measurement could not be made."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    console = Console()
    folder = options.out or (None if options.quick else RESULTS)
    for name in [options.only] if options.only else MEASUREMENTS:
        try:
            result = MEASUREMENTS[name](options.quick)
        except BenchmarkError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        result.show(console)
        if folder is not None:
            result.write(folder)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench proxy", description=__doc__)
    parser.add_argument("--only", choices=list(MEASUREMENTS))
    parser.add_argument(
        "--quick", action="store_true", help="a rough look: results are shown, not kept"
    )
    parser.add_argument("--out", type=Path, help="where results go (default: benchmarks/results)")
    return parser
