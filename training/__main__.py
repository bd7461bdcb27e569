"""`python -m training <command>`: every stage from the fonts to the shipped bundle."""

import argparse

import torch

from search_jobs.spec import DEFAULT_BUDGETS, Objective

from .bundle import write_bundle, write_samples
from .classifier import train_classifier
from .critic import train_critic
from .fonts import HELD_OUT_PACKAGES, TRAINING_PACKAGES
from .generator import train_generator
from .guidance import SCALES, measure_guidance
from .notice import write_notice
from .siblings import GLYPHS, SIBLINGS
from .solvers import search_solvers
from .statistics import write_reference_features, write_statistics


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    root.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    root.add_argument(
        "--model",
        choices=SIBLINGS,
        default=GLYPHS.name,
        help="which bundled model (glyphs)",
    )
    commands = root.add_subparsers(dest="command", required=True)
    commands.add_parser("packages", help="print the Debian packages that hold the fonts")
    generator = commands.add_parser("generator", help="train the network; resumes where it stopped")
    generator.add_argument("--minutes", type=float, default=75, help="budget of training time")
    generator.add_argument("--steps", type=int, default=12_000, help="budget of steps")
    classifier = commands.add_parser("classifier", help="train the judge; report its accuracy")
    classifier.add_argument("--steps", type=int, default=2500)
    critic = commands.add_parser("critic", help="train the network that searches descend")
    critic.add_argument("--steps", type=int, default=2000)
    solvers = commands.add_parser("solvers", help="search the solvers that ship with the model")
    solvers.add_argument("--steps", type=int, nargs="+", default=[4, 5, 6, 8, 10])
    solvers.add_argument("--guidance", type=float, help="default: the card's")
    solvers.add_argument("--objective", type=Objective, default=Objective.DISTRIBUTION)
    solvers.add_argument("--budget", type=int, default=DEFAULT_BUDGETS["dss-plus"])
    commands.add_parser("bundle", help="write the shipped card and weights")
    commands.add_parser("notice", help="write the licence notes of the fonts")
    commands.add_parser("samples", help="write the shipped sheet of samples")
    commands.add_parser("statistics", help="reference statistics of 50,000 renderings")
    commands.add_parser("features", help="features of 4,000 of them, for precision and recall")
    guidance = commands.add_parser("guidance", help="measure guidance scales; choose the default")
    guidance.add_argument("--per-class", type=int, default=15, help="samples of each class")
    guidance.add_argument("--scales", type=float, nargs="+", help="default: 1.25 to 1.75")
    return root


def main() -> None:
    options = parser().parse_args()
    sibling = SIBLINGS[options.model]
    torch.set_num_threads(options.threads)
    match options.command:
        case "packages":
            print(*sorted(TRAINING_PACKAGES + HELD_OUT_PACKAGES))
        case "generator":
            train_generator(sibling, options.minutes, options.steps)
        case "classifier":
            train_classifier(options.steps)
        case "critic":
            train_critic(options.steps)
        case "statistics":
            write_statistics()
        case "features":
            write_reference_features()
        case "guidance":
            measure_guidance(sibling, options.per_class, tuple(options.scales or SCALES))
        case "solvers":
            chosen = (options.guidance, options.objective, options.budget)
            search_solvers(sibling, tuple(options.steps), *chosen)
        case "bundle":
            write_bundle(sibling)
        case "notice":
            write_notice()
        case "samples":
            write_samples(sibling)


if __name__ == "__main__":
    main()
