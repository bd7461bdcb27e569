"""What the commands that talk to a server share."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from stat import S_ISDIR
from typing import TypeAlias, TypeVar

from solver_store.records import MAX_GUIDANCE_SCALE

from ..client import DEFAULT_URL, Client

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

Command = Callable[[Client, argparse.Namespace], None]

CALLED = os.environ.get("FEWSTEP_CALLED", "fewstep")  # as what: ./run says so of itself

N = TypeVar("N", int, float)


class CommandFailed(Exception):
    """The message is the one line that the user sees."""


def add_connection_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=os.environ.get("FEWSTEP_URL", DEFAULT_URL),
        help="the server (FEWSTEP_URL; default: %(default)s)",
    )
    parser.add_argument(
        "--api-key",
        default=os.environ.get("FEWSTEP_API_KEY"),
        metavar="KEY",
        help="where the server asks for one (FEWSTEP_API_KEY)",
    )


def guidance_scale(text: str) -> float:
    """The type of a flag. Raises ArgumentTypeError."""
    scale = number(text, float)
    if not 0 <= scale <= MAX_GUIDANCE_SCALE:  # which nan does not, either
        raise argparse.ArgumentTypeError(
            f"must lie in [0, {MAX_GUIDANCE_SCALE:g}], got {text!r:.60}"
        )
    return scale


def number(text: str, kind: type[N]) -> N:
    """Raises ArgumentTypeError."""
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r:.60}") from None


def output_file(*suffixes: str) -> Callable[[str], Path]:
    """The type of a flag: a file that can be written, as is known before work and not after it.

    Without suffixes any will do. The type raises ArgumentTypeError.
    """

    def checked(text: str) -> Path:
        file = Path(text)
        if suffixes and file.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"must end in {', '.join(suffixes)}, got {text!r:.60}")
        try:
            if S_ISDIR(file.stat().st_mode):
                raise argparse.ArgumentTypeError(f"must be a file, and {text!r:.60} is a folder")
        except FileNotFoundError:
            folder = file.absolute().parent
            if not folder.is_dir():
                raise argparse.ArgumentTypeError(f"there is no folder {folder}") from None
        except OSError as error:  # too long a name, or a folder that is closed to us
            raise argparse.ArgumentTypeError(f"{text!r:.60}: {error.strerror}") from None
        return file

    return checked


def add_server_command(
    actions: Commands, name: str, help_text: str, run: Command
) -> argparse.ArgumentParser:
    """A subcommand that runs with a client of the server that its flags name."""
    parser = actions.add_parser(name, help=help_text)
    add_connection_flags(parser)

    def connect_and_run(arguments: argparse.Namespace) -> None:
        with Client(arguments.url, arguments.api_key) as client:
            run(client, arguments)

    parser.set_defaults(run=connect_and_run)
    return parser
