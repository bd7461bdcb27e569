"""fewstep jobs list | show | follow | cancel | stop"""

import argparse

from search_jobs.spec import JobState

from ..answers import SearchJobAnswer
from ..client import Client
from .common import Commands, add_server_command
from .output import table_console
from .search import follow_job
from .search_display import jobs_table


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser("jobs", help="the searches of the server")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    listing = add_server_command(actions, "list", "the newest", _list)
    listing.add_argument("--state", type=JobState, choices=list(JobState), help="only these")
    for name, help_text, run in (
        ("show", "one of them, as JSON", _show),
        ("follow", "its progress until it ends", _follow),
        ("cancel", "end it; what is not published yet is dropped", _cancel),
        ("stop", "end it now and keep the best so far", _stop),
    ):
        add_server_command(actions, name, help_text, run).add_argument("id")


def _list(client: Client, arguments: argparse.Namespace) -> None:
    table_console().print(jobs_table(client.search_jobs(arguments.state)))


def _show(client: Client, arguments: argparse.Namespace) -> None:
    print(client.search_job(arguments.id).model_dump_json(indent=2))


def _follow(client: Client, arguments: argparse.Namespace) -> None:
    follow_job(client, client.search_job(arguments.id))


def _cancel(client: Client, arguments: argparse.Namespace) -> None:
    _tell(client.cancel(arguments.id))


def _stop(client: Client, arguments: argparse.Namespace) -> None:
    _tell(client.stop(arguments.id))


def _tell(job: SearchJobAnswer) -> None:
    print(f"{job.id} is {'ending' if not job.is_finished else job.state.value}")
