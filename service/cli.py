"""The `fewstep` command: what it can do, and how its failures are told.

Exit status: 0 done · 1 failed, with one line on stderr · 2 used wrongly · 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from diffusion_core.errors import DiffusionError
from diffusion_core.settings import add_flags, given_flags
from search_jobs.errors import SearchError
from solver_store.errors import StoreError

from .client import AnswerUnreadable, ClientError, Unreachable
from .commands import evaluate, generate, jobs, models, search, solvers
from .commands.common import CALLED, CommandFailed
from .errors import ServiceError
from .settings import Settings, read_settings
from .version import VERSION

FAILURES = (
    CommandFailed,
    ClientError,
    ServiceError,
    SearchError,
    DiffusionError,
    StoreError,
    OSError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = build_parser().parse_args(arguments)
    try:
        parsed.run(parsed)
        sys.stdout.flush()  # here it may fail, and not unseen at the end
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read, as `head` does, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
        return 1
    except FAILURES as error:
        is_elsewhere = isinstance(error, Unreachable | AnswerUnreadable)
        hint = " (--url or FEWSTEP_URL names another)" if is_elsewhere else ""
        print(f"fewstep: {error}{hint}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=CALLED, description="Images from diffusion models in few network evaluations."
    )
    parser.add_argument("--version", action="version", version=f"fewstep {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve", help="serve the models", description="Every flag is also a variable."
    )
    add_flags(serve, Settings)
    serve.set_defaults(run=_serve)
    generate.add_command(commands)
    models.add_commands(commands)
    solvers.add_commands(commands)
    search.add_command(commands)
    jobs.add_commands(commands)
    evaluate.add_command(commands)
    return parser


def _serve(arguments: argparse.Namespace) -> None:
    settings = read_settings(given_flags(arguments, Settings))
    from .server import serve  # torch takes seconds to import, and only this command needs it

    serve(settings)


if __name__ == "__main__":
    sys.exit(main())
