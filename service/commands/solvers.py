"""fewstep solvers list | show | import | export | promote"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from ..answers import SolverAnswer
from ..client import Client
from .common import CommandFailed, Commands, add_server_command, output_file
from .output import table_console
from .solver_names import find_solver, find_version, split_name

IMPORTED_FIELDS = ("name", "table", "paper_form", "target", "note")


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser("solvers", help="the solvers that the server knows")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    listing = add_server_command(actions, "list", "all of them", _list)
    listing.add_argument("--model", help="only what runs on this model")
    listing.add_argument("--steps", type=int, help="only what takes so many steps")

    showing = add_server_command(
        actions, "show", "one name with its versions, or one of them", _show
    )
    showing.add_argument("name", metavar="NAME[/VERSION|@ALIAS]")

    importing = add_server_command(actions, "import", "keep a table from a JSON file", _import)
    importing.add_argument("file", type=Path, help="{name, table} or {name, paper_form}")
    importing.add_argument("--name", help="another name than the file's")
    importing.add_argument("--note", help="where it comes from")

    exporting = add_server_command(actions, "export", "write a table as a JSON file", _export)
    exporting.add_argument(
        "name", metavar="NAME[/VERSION|@ALIAS]", help="the champion where it is the name alone"
    )
    exporting.add_argument(
        "--steps", type=int, help="of a classical solver or a family, such as flowdcn-b-256"
    )
    exporting.add_argument(
        "--model", help="on whose schedule a classical solver is written; default: the server's"
    )
    exporting.add_argument("-o", "--output", type=output_file(), help="default: stdout")

    promoting = add_server_command(actions, "promote", "point an alias at a version", _promote)
    promoting.add_argument("name")
    promoting.add_argument("version", type=int)
    promoting.add_argument("--alias", default="champion", help="champion (default), faithful …")
    promoting.add_argument(
        "--expected", type=int, help="where it points now; default: as the server says"
    )
    promoting.add_argument("--note", default="", help="why")


def _list(client: Client, arguments: argparse.Namespace) -> None:
    table = Table("name", "steps", "schedule", "made for", "versions", "aliases", box=None)
    for entry in client.solvers(arguments.model, arguments.steps):
        target = entry.target
        table.add_row(
            entry.name,
            "any" if entry.steps is None else str(entry.steps),
            entry.schedule or "any",
            "" if target is None else f"{target.model}, guidance {target.guidance_scale:g}",
            str(entry.num_versions or ""),
            ", ".join(f"{alias} → {version}" for alias, version in entry.aliases.items()),
        )
    table_console().print(table)


def _show(client: Client, arguments: argparse.Namespace) -> None:
    name, which = split_name(arguments.name)
    entry = find_solver(client, name)
    shown = entry if which is None else find_version(client, entry, which)
    print(shown.model_dump_json(indent=2))


def _import(client: Client, arguments: argparse.Namespace) -> None:
    document = _read_document(arguments.file)
    if arguments.name is not None:
        document["name"] = arguments.name
    if arguments.note is not None:
        document["note"] = arguments.note
    kept = client.import_solver(document)
    print(f"{kept.name}/{kept.version} sha256:{kept.digest}")


def _export(client: Client, arguments: argparse.Namespace) -> None:
    name, which = split_name(arguments.name)
    entry = find_solver(client, name, arguments.steps)
    if entry.kind == "classical":
        text = _classical(client, arguments) + "\n"
    else:
        _check_steps(entry, arguments.steps)
        text = find_version(client, entry, which).model_dump_json(indent=2) + "\n"
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        arguments.output.write_text(text, encoding="utf-8")
        print(arguments.output)


def _classical(client: Client, arguments: argparse.Namespace) -> str:
    """A classical solver's table for a number of steps, as a document that can be imported."""
    name, steps = arguments.name, arguments.steps
    if "/" in name or "@" in name:
        raise CommandFailed(f"a classical solver has no versions, so {name!r} is none")
    if steps is None:
        raise CommandFailed(
            f"{name} is classical: its table is made for a number of steps; say which, as in "
            "--steps 6"
        )
    from diffusion_core.classic import classical_table  # torch takes seconds to import

    schedule = client.model(arguments.model).schedule
    table = classical_table(name, schedule, steps)
    document = {
        "name": f"{name}-{steps}",
        "digest": table.digest,
        "table": table.as_dict(),
        "note": f"{name} at {steps} steps on {schedule}",
    }
    return json.dumps(document, indent=2)


def _check_steps(entry: SolverAnswer, steps: int | None) -> None:
    if steps is not None and entry.steps != steps:
        raise CommandFailed(f"{entry.name} takes {entry.steps} steps, not {steps}")


def _promote(client: Client, arguments: argparse.Namespace) -> None:
    expected = arguments.expected
    if expected is None:
        expected = find_solver(client, arguments.name).aliases.get(arguments.alias)
    move = client.move_alias(
        arguments.name, arguments.alias, arguments.version, expected, arguments.note
    )
    before = "nothing" if expected is None else str(expected)
    print(f"{move.name}@{move.alias}: {before} → {move.version}")


def _read_document(file: Path) -> dict[str, Any]:
    """An exported version or a published table will do: what an import does not take is left out.

    Raises CommandFailed where the file is no JSON object.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandFailed(f"{file} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise CommandFailed(f"{file} must hold a JSON object")
    kept = {name: document[name] for name in IMPORTED_FIELDS if name in document}
    if "table" in kept:
        kept.pop("paper_form", None)  # published files hold both; the table is what is used
    return kept
