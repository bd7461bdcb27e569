"""The processes of the searches.

    python -m search_jobs worker          take search jobs, one after the other
    python -m search_jobs run spec.json   one search here and now, without server or Redis
    python -m search_jobs perform …       one search job: what a worker starts

    torchrun --nproc-per-node 2 -m search_jobs run spec.json   the same on several GPUs

Exit status: 0 done · 1 failed, with one line on stderr · 2 used wrongly · 130 interrupted.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from diffusion_core.errors import DiffusionError
from diffusion_core.settings import add_flags, given_flags, variable
from solver_store.errors import StoreError

from .errors import SearchError
from .priority import yield_to_others
from .settings import WorkerSettings, read_worker_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parsed = build_parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except KeyboardInterrupt:
        return 130
    except (SearchError, DiffusionError, StoreError, OSError) as error:
        print(f"search_jobs: {error}", file=sys.stderr)
        return 1
    return status


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="search_jobs", description="Searches for solvers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    worker = commands.add_parser(
        "worker", help="take search jobs", description="Every flag is also a variable."
    )
    add_flags(worker, WorkerSettings)
    worker.set_defaults(run=_work)
    run = commands.add_parser(
        "run",
        help="search here and now, without server or Redis",
        epilog="On several GPUs, which share every batch: "
        "torchrun --nproc-per-node 2 -m search_jobs run spec.json",
    )
    run.add_argument("spec", type=Path, help="JSON, as POST /search-jobs takes it")
    add_flags(run, WorkerSettings)
    run.set_defaults(run=_run)
    perform = commands.add_parser("perform", help="do one search job: what a worker starts")
    perform.add_argument("worker", help="who is to hold the job's lease")
    perform.add_argument("job_id")
    perform.set_defaults(run=_perform)
    return parser


def log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)  # says at each start that it has looked


def _work(arguments: argparse.Namespace) -> int:
    flags = given_flags(arguments, WorkerSettings)
    settings = read_worker_settings(flags)
    # The processes of the jobs read them again.
    os.environ.update({variable(name): text for name, text in flags.items()})
    log_to_stderr()
    from .running import run_worker

    return 0 if run_worker(settings) else 1


def _run(arguments: argparse.Namespace) -> int:
    settings = read_worker_settings(given_flags(arguments, WorkerSettings))
    from .local_run import run_here

    run_here(arguments.spec, settings)
    return 0


def _perform(arguments: argparse.Namespace) -> int:
    log_to_stderr()
    yield_to_others()
    from .job import perform

    perform(arguments.job_id, arguments.worker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
