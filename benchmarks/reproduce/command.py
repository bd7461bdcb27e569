"""`./run bench reproduce --row sit-xl-2 --checkpoint FILE --vae FOLDER --out FOLDER …`."""

import argparse
import os
import sys
from pathlib import Path

from rich.console import Console

from diffusion_core.errors import DiffusionError
from diffusion_core.families import get_family
from diffusion_core.folders import DEFAULT_HOME
from diffusion_core.host import keep_freed_memory
from diffusion_core.quality.neighbours import NUM_NEIGHBOURS
from diffusion_core.registry import find_device
from diffusion_core.settings import variable
from search_jobs.distributed import joined
from search_jobs.errors import SearchError
from search_jobs.search import Shard
from solver_store.errors import StoreError

from ..processes import BenchmarkError
from .measuring import Measure
from .models import AddedModel, GivenCheckpoint, ModelSource
from .recipe import Labels
from .reproduction import ARCHIVE, DTYPES, Order, reproduce
from .rows import NUM_SAMPLES, ROWS, Row

DESCRIPTION = """\
Sample images by a published recipe and measure them as ADM's evaluator does. Killed, the same
command goes on where it was. On several GPUs:
torchrun --nproc-per-node 8 -m benchmarks reproduce …"""

FAILURES = (BenchmarkError, DiffusionError, SearchError, StoreError, OSError)


def main(arguments: list[str]) -> int:
    """Returns 1 where it cannot be made; the reason is on stderr. A missed target is no failure."""
    parser = _parser()
    options = parser.parse_args(arguments)
    order = _order(options, parser)
    keep_freed_memory()
    try:
        with joined(options.device) as asked:
            _run(order, asked)
    except FAILURES as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    return 0


def _run(order: Order, asked: str) -> None:
    device = find_device(asked, BenchmarkError, "--device")
    shard = Shard.current()
    result = reproduce(order, device, shard)
    if result is not None:
        result.show(Console())
        print(result.write(order.out))
    elif shard.is_first:
        print(order.out / ARCHIVE)


def _order(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Order:
    row: Row = ROWS[options.row]
    return Order(
        row=row,
        steps=options.steps,
        source=_source(options, row, parser),
        solver=options.solver or row.solver(options.steps),
        guidance_scale=row.guidance_scale if options.guidance is None else options.guidance,
        guided_channels=options.guided_channels or row.guided_channels,
        labels=options.labels or row.labels,
        samples=options.samples,
        seed=options.seed,
        dtype=options.dtype,
        batch_size=options.batch_size,
        piece=options.piece,
        out=options.out,
        measure=_measure(options, parser),
    )


def _source(options: argparse.Namespace, row: Row, parser: argparse.ArgumentParser) -> ModelSource:
    if options.model is not None:
        if options.vae is not None:
            parser.error("--vae goes with --checkpoint; a model that was added has its own")
        return AddedModel(options.model, options.home)
    return GivenCheckpoint(get_family(row.family), options.checkpoint, options.vae)


def _measure(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Measure | None:
    given = (options.inception, options.reference)
    if given == (None, None):
        return None
    if None in given:
        parser.error("--inception and --reference go together; with neither, only samples are made")
    if options.samples <= NUM_NEIGHBOURS:
        parser.error(f"--samples: neighbours need more than {NUM_NEIGHBOURS}")
    return Measure(*given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./run bench reproduce",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--row", required=True, choices=ROWS)
    parser.add_argument("--steps", type=_positive, default=10, help="default: 10")
    _add_files(parser)
    _add_deviations(parser)
    _add_work(parser)
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument_group("files")
    network = files.add_mutually_exclusive_group(required=True)
    network.add_argument(
        "--checkpoint", type=Path, metavar="FILE",
        help="as its authors released it; is converted into --out once",
    )  # fmt: skip
    network.add_argument("--model", metavar="NAME", help="one that `./run models add` has added")
    files.add_argument(
        "--home",
        type=Path,
        default=os.environ.get(variable("home"), DEFAULT_HOME),
        help="data folder, where --model is looked for (FEWSTEP_HOME)",
    )
    files.add_argument("--vae", type=Path, metavar="FOLDER", help="autoencoder as diffusers has it")
    files.add_argument(
        "--inception", type=Path, metavar="FILE", help="Inception's numbers, .pth or .safetensors"
    )
    files.add_argument(
        "--reference", type=Path, metavar="FILE.npz", help="VIRTUAL_imagenet256_labeled.npz"
    )
    files.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for all of it")


def _add_deviations(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("other than the row has it")
    group.add_argument("--solver", metavar="NAME|FILE", help="flowdcn-b-256-8, table.json, ab2 …")
    group.add_argument("--guidance", type=float, metavar="SCALE")
    group.add_argument("--guided-channels", type=_positive, metavar="N")
    group.add_argument("--labels", type=Labels, choices=list(Labels))
    group.add_argument("--samples", type=_positive, default=NUM_SAMPLES, metavar="N")


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how it is worked off")
    group.add_argument("--seed", type=_natural, default=0, help="of the first image; default: 0")
    group.add_argument("--dtype", choices=DTYPES, default="float32", help="of the networks")
    group.add_argument(
        "--batch-size", type=_positive, default=50, help="images in a forward; default: 50"
    )
    group.add_argument(
        "--piece", type=_positive, default=500, metavar="N",
        help="images that are kept, and lost by a kill, together; default: 500",
    )  # fmt: skip
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1")


def _positive(text: str) -> int:
    return _at_least(1, text)


def _natural(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, got {number}")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
