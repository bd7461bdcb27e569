"""fewstep evaluate --steps 4,6,8 --json solvers.json --plot solvers.png"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from diffusion_core.settings import add_flags, given_flags
from search_jobs.settings import WorkerSettings, read_worker_settings
from solver_store.table import MAX_NFE

from .common import Commands, guidance_scale, number, output_file
from .output import table_console

if TYPE_CHECKING:
    from search_jobs.evaluate import Tell

    from .comparison import Comparison

SETTINGS = ("home", "database_url", "device", "threads")
MIN_SAMPLES, MAX_SAMPLES = 40, 1_000_000
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def add_command(commands: Commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="compare solvers on a model; needs no server",
        description="Sample with every solver from the same noises and compare: distance from the "
        "converged solution, Fréchet distance to real images, class accuracy, precision, recall. "
        "What was measured before is not measured again.",
    )
    parser.add_argument("--model", help="name or folder; default: the first at hand")
    parser.add_argument(
        "--steps",
        type=_step_counts,
        default=(8,),
        metavar="4,6,8",
        help="network evaluations per image, with commas (8)",
    )
    parser.add_argument(
        "--guidance-scale", type=guidance_scale, help="default: the model's; 1 for none"
    )
    parser.add_argument(
        "--samples",
        type=_num_samples,
        default=360,
        help="images by each solver (360); four times as many halve the errors",
    )
    parser.add_argument(
        "--solvers",
        type=_names,
        metavar="A,B",
        help="references as requests take them; default: all classical solvers, published tables "
        "and stored versions for this model and guidance scale",
    )
    parser.add_argument(
        "--json", type=output_file(), metavar="FILE", help="write all figures there"
    )
    parser.add_argument(
        "--plot", type=output_file(*PLOT_SUFFIXES), metavar="FILE.png", help="draw them there"
    )
    add_flags(parser, WorkerSettings, SETTINGS)
    parser.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    settings = read_worker_settings(given_flags(arguments, WorkerSettings))
    # torch takes seconds to import, and most commands do without.
    from .comparison import Question, compare
    from .comparison_display import as_json, legend, tables

    question = Question(
        model=arguments.model,
        steps=arguments.steps,
        guidance_scale=arguments.guidance_scale,
        num_samples=arguments.samples,
        solvers=arguments.solvers,
    )
    comparison = _with_progress(lambda tell: compare(settings, question, tell))
    console = table_console()
    for table in tables(comparison):
        console.print(table, "")
    console.print(legend(comparison), soft_wrap=True)
    if arguments.json is not None:
        text = json.dumps(as_json(comparison), indent=2, ensure_ascii=False) + "\n"
        arguments.json.write_text(text, encoding="utf-8")
        print(arguments.json)
    if arguments.plot is not None:
        from .comparison_plot import write_plot

        write_plot(comparison, arguments.plot)
        print(arguments.plot)


def _with_progress(work: "Callable[[Tell], Comparison]") -> "Comparison":
    """Show a bar while it goes on; where there is no terminal, a line for each part of it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    if not console.is_terminal:
        return work(_lines())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("loading", total=None)

        def tell(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=what)

        return work(tell)


def _lines() -> "Tell":
    told = ""

    def tell(done: int, total: int, what: str) -> None:
        nonlocal told
        if what != told:
            print(f"{done / total:4.0%} {what}", file=sys.stderr, flush=True)
        told = what

    return tell


def _step_counts(text: str) -> tuple[int, ...]:
    counts = tuple(number(part, int) for part in text.split(","))
    if len(set(counts)) != len(counts) or not all(1 <= count <= MAX_NFE for count in counts):
        raise argparse.ArgumentTypeError(
            f"must be different numbers from 1 to {MAX_NFE}, with commas; got {text!r:.60}"
        )
    return counts


def _num_samples(text: str) -> int:
    count = number(text, int)
    if not MIN_SAMPLES <= count <= MAX_SAMPLES:
        raise argparse.ArgumentTypeError(
            f"must lie in [{MIN_SAMPLES}, {MAX_SAMPLES}], got {text!r:.60}"
        )
    return count


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))
