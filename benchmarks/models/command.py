"""`./run bench models siblings | transfer | vp | full-size | throughput`."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from diffusion_core.families import get_family
from diffusion_core.folders import BUNDLED_MODELS, DEFAULT_HOME
from diffusion_core.host import keep_freed_memory
from diffusion_core.model import LoadedModel, find_models, get_model, load_model
from search_jobs.evaluate import Contender, EvaluationPlan, Subject
from search_jobs.search import Problem
from search_jobs.spec import Method, Objective
from solver_store.published import published_tables

from .. import search
from ..results import RESULTS, Result
from ..search.cells import Cell, searched
from .full_size import full_size
from .throughput import Plan, throughput
from .transfer import Home, transfer
from .vp_reading import compare_readings

FLOW_MODELS = ("glyphs", "glyphs-dcn")
VP_MODEL = "glyphs-ddpm"
CACHE = DEFAULT_HOME / "bench-search"


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    console = Console()
    if options.plan == "siblings":
        return _siblings(options)
    for result in PLANS[options.plan](options):
        result.show(console)
        result.write(options.out)
    return 0


def _siblings(options: argparse.Namespace) -> int:
    """Searched tables against all others on each model, at its default guidance."""
    for name in (*FLOW_MODELS, VP_MODEL):
        scale = get_model(find_models(BUNDLED_MODELS), name).card.default_guidance_scale
        flags = ["--model", name, "--guidance", str(scale), "--out", str(options.out)]
        flags += ["--steps", ",".join(map(str, options.steps)), "--dss-budget", "0"]
        search.main([*flags, "--plus-budget", str(options.budget), "--objectives", "endpoint"])
    return 0


def _transfer(options: argparse.Namespace) -> list[Result]:
    return [
        transfer([_home(name, steps, options) for name in FLOW_MODELS], steps, PLAN, CACHE)
        for steps in options.steps
    ]


def _home(name: str, steps: int, options: argparse.Namespace) -> Home:
    model, subject = _load(name)
    problem = Problem.of_model(model, subject.problem.guidance_scale)
    cell = Cell(
        Method.DSS_PLUS,
        Objective.ENDPOINT,
        steps,
        problem.guidance_scale,
        options.budget,
        model=name,
    )
    found = searched(cell, problem, None, CACHE, options.out / "search")
    return Home(subject, Contender(cell.name, found.table))


def _readings(options: argparse.Namespace) -> list[Result]:
    _, subject = _load(VP_MODEL)
    family = [entry for entry in published_tables() if entry.table.schedule == "vp"]
    return [compare_readings(subject, family, PLAN, CACHE)]


def _full_size(options: argparse.Namespace) -> list[Result]:
    return [full_size(repeats=3)]


def _throughput(_: argparse.Namespace) -> list[Result]:
    on_gpu = torch.cuda.is_available()
    # On two cores an image takes the better part of a minute.
    plan = Plan((1, 4, 16, 64, 256), (5, 10, 20), 3) if on_gpu else Plan((1, 4), (10,), 1)
    device = torch.device("cuda" if on_gpu else "cpu")
    return [throughput(get_family("dit-xl-2-256"), plan, device, torch.bfloat16)]


def _load(name: str) -> tuple[LoadedModel, Subject]:
    folder = get_model(find_models(BUNDLED_MODELS), name)
    model = load_model(folder, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return model, Subject.of_model(model, folder, folder.card.default_guidance_scale)


PLAN = EvaluationPlan.of_samples(720, on_gpu=torch.cuda.is_available())


PLANS: dict[str, Callable[[argparse.Namespace], list[Result]]] = {
    "transfer": _transfer,
    "vp": _readings,
    "full-size": _full_size,
    "throughput": _throughput,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench models", description=__doc__)
    parser.add_argument("plan", choices=("siblings", *PLANS))
    parser.add_argument("--steps", type=_integers, default=[6, 10], metavar="N,…")
    parser.add_argument("--budget", type=int, default=60_000, help="of a search (60,000)")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]
