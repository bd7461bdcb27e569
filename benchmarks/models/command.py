"""`./run bench models siblings | transfer | vp | full-size | throughput | published`."""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console

from diffusion_core.errors import DiffusionError
from diffusion_core.families import get_family
from diffusion_core.folders import BUNDLED_MODELS, DEFAULT_HOME
from diffusion_core.host import keep_freed_memory
from diffusion_core.model import find_models, get_model, load_model
from diffusion_core.quality import NUM_GROUPS
from search_jobs.errors import SearchError
from search_jobs.evaluate import Subject
from search_jobs.settings import read_worker_settings
from solver_store.errors import StoreError
from solver_store.published import published_tables

from ..processes import BenchmarkError
from ..results import RESULTS, Result
from .comparison import compare
from .full_size import full_size
from .published import FAMILIES, published
from .searched import Searched, check_transfer, find_searched
from .throughput import Plan, throughput
from .transfer import transfer
from .vp_reading import compare_readings

FLOW_MODELS = ("glyphs", "glyphs-dcn")
VP_MODEL = "glyphs-ddpm"
CACHE = DEFAULT_HOME / "bench-models"
FAILURES = (BenchmarkError, DiffusionError, SearchError, StoreError, OSError)

Results = Iterator[Result]  # each as soon as it is there


def main(arguments: list[str]) -> int:
    """Returns 1 where something cannot be measured; what was measured before is kept."""
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    console = Console()
    plan: Callable[[argparse.Namespace], Results] = options.plan
    try:
        for result in plan(options):
            result.show(console)
            result.write(options.out)
    except FAILURES as error:
        print(f"models: {error}", file=sys.stderr)
        return 1
    return 0


def _siblings(options: argparse.Namespace) -> Results:
    for model in find_searched(options.models, options.steps, read_worker_settings()):
        yield from _at_home(model, options)


def _at_home(model: Searched, options: argparse.Namespace) -> Results:
    subject = model.load()
    plan = subject.plan(options.samples)
    for steps in options.steps:
        yield compare(model.home(subject, steps), steps, plan, CACHE, options.every)


def _transfer(options: argparse.Namespace) -> Results:
    models = find_searched(options.models, options.steps, read_worker_settings())
    check_transfer(models, options.steps)
    subjects = [model.load() for model in models]
    for steps in options.steps:
        pairs = zip(models, subjects, strict=True)
        homes = [model.home(subject, steps) for model, subject in pairs]
        name = "" if tuple(options.models) == FLOW_MODELS else "-".join(options.models) + "-"
        yield transfer(homes, steps, options.samples, CACHE, f"models-transfer-{name}{steps}")


def _readings(options: argparse.Namespace) -> Results:
    folder = get_model(find_models(BUNDLED_MODELS), VP_MODEL)
    model = load_model(folder, _device())
    subject = Subject.of_model(model, folder, folder.card.default_guidance_scale)
    family = [entry for entry in published_tables() if entry.table.schedule == "vp"]
    yield compare_readings(subject, family, subject.plan(options.samples), CACHE)


def _full_size(options: argparse.Namespace) -> Results:
    yield full_size(repeats=3)


def _throughput(options: argparse.Namespace) -> Results:
    device = _device()
    # Without a GPU an image takes the better part of a minute.
    usual = Plan((1, 4, 16, 64, 256), (5, 10, 20), 3) if _has_gpu() else Plan((1, 4), (10,), 1)
    plan = Plan(options.batches or usual.batches, options.steps or usual.steps, usual.repeats)
    yield from throughput(get_family("dit-xl-2-256"), plan, device, torch.bfloat16)


def _published(options: argparse.Namespace) -> Results:
    yield from published([get_family(name) for name in options.families], options.work)


def _has_gpu() -> bool:
    return torch.cuda.is_available()


def _device() -> torch.device:
    return torch.device("cuda" if _has_gpu() else "cpu")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench models", description=__doc__)
    plans = parser.add_subparsers(required=True, metavar="PLAN")

    def add(
        name: str, plan: Callable[[argparse.Namespace], Results], what: str
    ) -> argparse.ArgumentParser:
        """Every plan has the options that it minds, and refuses the others'."""
        added = plans.add_parser(name, help=what, description=what)
        added.add_argument(
            "--out", type=Path, default=RESULTS, metavar="FOLDER", help="where results go"
        )
        added.set_defaults(plan=plan)
        return added

    siblings = add("siblings", _siblings, "searched tables beside all others, at home")
    _add_models(siblings, (*FLOW_MODELS, VP_MODEL))
    siblings.add_argument(
        "--every",
        action="store_true",
        help="every classical solver, not the best ones alone; take fewer samples",
    )
    moved = add("transfer", _transfer, "searched tables on each other's networks, of one schedule")
    _add_models(moved, FLOW_MODELS)
    readings = add("vp", _readings, f"two readings of the published VP tables, on {VP_MODEL}")
    for samples in (siblings, moved, readings):
        samples.add_argument(
            "--samples", type=_samples, default=720, metavar="N", help="of each table (720)"
        )
    add("full-size", _full_size, "DiT-XL/2 with random weights: seconds and memory of an image")
    rates = add("throughput", _throughput, "DiT-XL/2 beside diffusers' DiTPipeline")
    rates.add_argument("--steps", type=_counts, metavar="N,…", help="(10; on a GPU 5,10,20)")
    rates.add_argument(
        "--batches", type=_counts, metavar="N,…", help="images (1,4; on a GPU 1,4,16,64,256)"
    )
    users = add(
        "published", _published, "XL checkpoints of random numbers: added, served, searched on"
    )
    users.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    users.add_argument(
        "--work", type=Path, metavar="FOLDER", help="where 9 GB find room, for a while (/tmp)"
    )
    return parser


def _add_models(parser: argparse.ArgumentParser, usual: tuple[str, ...]) -> None:
    parser.add_argument(
        "--models",
        nargs="+",
        default=list(usual),
        metavar="NAME",
        help=f"any that `./run models list` shows ({' '.join(usual)})",
    )
    parser.add_argument("--steps", type=_counts, default=[6, 10], metavar="N,…", help="(6,10)")


def _counts(text: str) -> list[int]:
    return [_at_least(1, part) for part in text.split(",")]


def _samples(text: str) -> int:
    return _at_least(2 * NUM_GROUPS, text)


def _at_least(least: int, text: str) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, got {number}")
    return number
