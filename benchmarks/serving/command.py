"""`./run bench serving [--only NAME,…] [--quick] [--out FOLDER]`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from diffusion_core.host import keep_freed_memory

from ..processes import BenchmarkError
from ..results import RESULTS, Result
from . import bfloat16, head_of_line, overhead, startup, throughput

Measure = Callable[[bool], Result]  # told whether to be quick

MEASUREMENTS: dict[str, Measure] = {
    "startup": startup.measure,
    "bfloat16": bfloat16.measure,
    "overhead": overhead.measure,
    "throughput": throughput.measure,
    "head-of-line": head_of_line.measure,
}


def main(arguments: list[str]) -> int:
    """Measure; returns 1 where a measurement could not be made. A missed target is no failure."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()  # the offline loop gets what the server has
    console = Console()
    folder = options.out or (None if options.quick else RESULTS)
    failed = False
    for name in options.only:
        console.print(f"[bold]{name}[/] …")
        try:
            result = MEASUREMENTS[name](options.quick)
        except BenchmarkError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = True
            continue
        result.show(console)
        if folder is not None:
            result.write(folder)
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench serving")
    known = ", ".join(MEASUREMENTS)
    parser.add_argument(
        "--only", type=_names, default=list(MEASUREMENTS), metavar="NAME,…", help=f"of {known}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a rough look: results are shown, not kept"
    )
    parser.add_argument("--out", type=Path, help="where results go (default: benchmarks/results)")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in MEASUREMENTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(MEASUREMENTS)}")
    return names
