"""fewstep search glyphs --steps 5,6,8 --follow"""

import argparse
import sys

from rich.text import Text

from search_jobs.spec import JobState, Method, Objective, Promote

from ..answers import SearchJobAnswer
from ..client import Client, Search
from .common import CALLED, CommandFailed, Commands, add_connection_flags, guidance_scale
from .output import table_console
from .search_display import Bars
from .search_results import results_table


def add_command(commands: Commands) -> None:
    parser = commands.add_parser("search", help="search better solvers of a model")
    parser.add_argument("model", nargs="?", help="default: the server's")
    parser.add_argument(
        "--steps", type=_step_counts, required=True, metavar="5,6,8", help="one solver for each"
    )
    parser.add_argument(
        "--guidance-scale", type=guidance_scale, help="default: the model's; 1 for none"
    )
    parser.add_argument("--method", choices=[method.value for method in Method])
    parser.add_argument("--objective", choices=[objective.value for objective in Objective])
    parser.add_argument("--budget", type=int, help="network evaluations for each step count")
    parser.add_argument("--seed", type=int)
    parser.add_argument(
        "--promote",
        choices=[promote.value for promote in Promote],
        help="whether what is found may become the champion (if_better)",
    )
    parser.add_argument("--follow", action="store_true", help="show how it goes until it ends")
    add_connection_flags(parser)
    parser.set_defaults(run=_search)


def _search(arguments: argparse.Namespace) -> None:
    wanted = Search(
        steps=arguments.steps,
        model=arguments.model,
        guidance_scale=arguments.guidance_scale,
        method=arguments.method,
        objective=arguments.objective,
        budget=arguments.budget,
        seed=arguments.seed,
        promote=arguments.promote,
    )
    with Client(arguments.url, arguments.api_key) as client:
        job = client.search(wanted)
        if arguments.follow:
            follow_job(client, job)
        else:
            print(job.id)
            _say(f"{CALLED} jobs follow {job.id}   shows how it goes")


def follow_job(client: Client, job: SearchJobAnswer) -> None:
    """Show a job until its end, then what it has found.

    Raises CommandFailed where it does not succeed. Whoever stops looking does not stop the job.
    """
    try:
        with Bars(job.spec) as bars:
            for event in client.follow(job.id):
                bars.show(event)
    except KeyboardInterrupt:
        _say(f"The search goes on: {CALLED} jobs follow {job.id}")
        _say(f"To end it: {CALLED} jobs stop {job.id} (keeps the best so far), or cancel")
        raise
    show_end(client.search_job(job.id))


def show_end(job: SearchJobAnswer) -> None:
    """The results of a job that has ended. Raises CommandFailed where it has not succeeded."""
    console = table_console()
    for result in job.results:
        console.print(results_table(result))
        console.print(Text(result.decision + "\n"))
    if job.state is not JobState.SUCCEEDED:
        raise CommandFailed(f"search {job.id} {job.state.value}: {job.error or 'no result'}")


def _step_counts(text: str) -> list[int]:
    """Which of them may be asked for, the server says."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be whole numbers with commas, as in 5,6,8; got {text!r:.60}"
        ) from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)
