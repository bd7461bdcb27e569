"""`./run bench models siblings | transfer | vp | full-size | throughput`."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from diffusion_core.families import get_family
from diffusion_core.folders import BUNDLED_MODELS, DEFAULT_HOME
from diffusion_core.host import keep_freed_memory
from diffusion_core.model import ModelFolder, find_models, get_model, load_model
from search_jobs.evaluate import Contender, Subject
from solver_store.published import published_tables
from solver_store.records import Target
from solver_store.shipped import SHIPPED_SOLVERS, ShippedSolver

from ..results import RESULTS, Result
from .comparison import Home, compare
from .full_size import full_size
from .throughput import Plan, throughput
from .transfer import transfer
from .vp_reading import compare_readings

FLOW_MODELS = ("glyphs", "glyphs-dcn")
VP_MODEL = "glyphs-ddpm"
CACHE = DEFAULT_HOME / "bench-models"


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    console = Console()
    for result in PLANS[options.plan](options):
        result.show(console)
        result.write(options.out)
    return 0


def _siblings(options: argparse.Namespace) -> list[Result]:
    results = []
    for name in options.models:
        for steps in options.steps:
            home = _home(name, steps)
            plan = home.subject.plan(options.samples)
            results.append(compare(home, steps, plan, CACHE, options.every))
    return results


def _transfer(options: argparse.Namespace) -> list[Result]:
    results = []
    for steps in options.steps:
        homes = [_home(name, steps) for name in FLOW_MODELS]
        results.append(transfer(homes, steps, homes[0].subject.plan(options.samples), CACHE))
    return results


def _home(name: str, steps: int) -> Home:
    folder, subject = _load(name)
    shipped = (ShippedSolver.read(file) for file in (folder.path / SHIPPED_SOLVERS).glob("*.json"))
    target = Target(name, subject.problem.guidance_scale)
    [table] = [s.table for s in shipped if s.target == target and s.table.nfe == steps]
    return Home(subject, folder.card.default_solver, Contender(target.solver_name(steps), table))


def _readings(options: argparse.Namespace) -> list[Result]:
    _, subject = _load(VP_MODEL)
    family = [entry for entry in published_tables() if entry.table.schedule == "vp"]
    return [compare_readings(subject, family, subject.plan(options.samples), CACHE)]


def _full_size(options: argparse.Namespace) -> list[Result]:
    return [full_size(repeats=3)]


def _throughput(_: argparse.Namespace) -> list[Result]:
    on_gpu = torch.cuda.is_available()
    # On two cores an image takes the better part of a minute.
    plan = Plan((1, 4, 16, 64, 256), (5, 10, 20), 3) if on_gpu else Plan((1, 4), (10,), 1)
    device = torch.device("cuda" if on_gpu else "cpu")
    return list(throughput(get_family("dit-xl-2-256"), plan, device, torch.bfloat16))


def _load(name: str) -> tuple[ModelFolder, Subject]:
    folder = get_model(find_models(BUNDLED_MODELS), name)
    model = load_model(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return folder, Subject.of_model(model, folder, folder.card.default_guidance_scale)


PLANS: dict[str, Callable[[argparse.Namespace], list[Result]]] = {
    "siblings": _siblings,
    "transfer": _transfer,
    "vp": _readings,
    "full-size": _full_size,
    "throughput": _throughput,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench models", description=__doc__)
    parser.add_argument("plan", choices=PLANS)
    parser.add_argument("--steps", type=_integers, default=[6, 10], metavar="N,…")
    parser.add_argument(
        "--models",
        nargs="+",
        choices=(*FLOW_MODELS, VP_MODEL),
        default=[*FLOW_MODELS, VP_MODEL],
        help="of `siblings` (all)",
    )
    parser.add_argument(
        "--every",
        action="store_true",
        help="in `siblings`: every classical solver, not the best ones alone; take fewer samples",
    )
    parser.add_argument("--samples", type=int, default=720, help="of each table (720)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]
