"""`./run bench search [--steps 6,10] [--guidance 1] [--plan compare|ablation] …`."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from diffusion_core.folders import BUNDLED_MODELS, DEFAULT_HOME
from diffusion_core.host import keep_freed_memory
from diffusion_core.model import find_models, get_model, load_model
from search_jobs.critic import load_critic
from search_jobs.evaluate import EvaluationPlan, Subject
from search_jobs.search import Problem
from search_jobs.spec import Method, Objective

from ..results import RESULTS
from .cells import ABLATION, DEFAULT_MODEL, VARIANTS, Cell
from .comparison import Bench, ablate, compare

ABLATION_BUDGET = 60_000


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    keep_freed_memory()
    bench = _bench(options)
    console = Console()
    for steps in options.steps:
        if options.plan == "ablation":
            result = ablate(bench, ablation(steps, options), steps, console)
        else:
            result = compare(bench, contenders(steps, options), steps, console)
        result.show(console)
        result.write(options.out)
    return 0


def contenders(steps: int, options: argparse.Namespace) -> list[Cell]:
    """Both methods at their budgets, for every seed.

    The paper's with our teacher, too, at our budget: then nothing but the method differs.
    """
    guidance, model = options.guidance, options.model
    ours, paper = options.plus_budget, options.dss_budget
    cells = [
        Cell(Method.DSS_PLUS, objective, steps, guidance, ours, seed, "", model)
        for seed in options.seeds
        for objective in options.objectives
    ]
    if paper:
        cells += [
            Cell(Method.DSS, Objective.ENDPOINT, steps, guidance, budget, seed, variant, model)
            for variant, budget in (("", paper), ("our-teacher", ours))
            for seed in options.seeds
        ]
    return cells


def ablation(steps: int, options: argparse.Namespace) -> list[Cell]:
    """Our method with one choice left out at a time, at equal budgets."""
    guidance, method, aim = options.guidance, Method.DSS_PLUS, Objective.ENDPOINT
    return [
        Cell(method, aim, steps, guidance, ABLATION_BUDGET, seed, variant, options.model)
        for variant in options.variants
        for seed in options.seeds
    ]


def _bench(options: argparse.Namespace) -> Bench:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    folder = get_model(find_models(BUNDLED_MODELS), options.model)
    model = load_model(folder, device)
    first_heat = EvaluationPlan(
        num_samples=options.endpoints,
        num_endpoints=options.endpoints,
        batch_rows=64 if device.type == "cpu" else 1024,
    )
    return Bench(
        subject=Subject.of_model(model, folder, options.guidance),
        problem=Problem.of_model(model, options.guidance),
        critic=load_critic(folder, model),
        first_heat=first_heat,
        final=replace(first_heat, num_samples=options.samples),
        work=DEFAULT_HOME / "bench-search",
        results=options.out / "search",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run bench search", description=__doc__)
    parser.add_argument("--plan", choices=("compare", "ablation"), default="compare")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--steps", type=_integers, default=[6, 10], metavar="N,…")
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--seeds", type=_integers, default=[0], metavar="N,…")
    parser.add_argument("--objectives", type=_objectives, default=list(Objective), metavar="NAME,…")
    parser.add_argument(
        "--variants", type=_variants, default=list(ABLATION), metavar="NAME,…",
        help=f"of {', '.join(name or 'default' for name in VARIANTS)}",
    )  # fmt: skip
    parser.add_argument("--plus-budget", type=int, default=120_000)
    parser.add_argument("--dss-budget", type=int, default=480_000, help="0 leaves it out")
    parser.add_argument("--samples", type=int, default=2000, help="of those who could be best")
    parser.add_argument("--endpoints", type=int, default=512, help="of everyone, judged too")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser


def _integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _objectives(text: str) -> list[Objective]:
    return [Objective(part) for part in text.split(",")]


def _variants(text: str) -> list[str]:
    names = ["" if part == "default" else part for part in text.split(",")]
    for name in names:
        if name not in VARIANTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(VARIANTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
