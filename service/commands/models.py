"""fewstep models add | list | show | remove, in the data folder; load | unload, on the server"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from diffusion_core.settings import add_flags, given_flags
from search_jobs.settings import WorkerSettings, read_worker_settings

from ..client import Client
from .common import CALLED, CommandFailed, Commands, add_server_command
from .output import table_console

if TYPE_CHECKING:
    from diffusion_core.card import ModelCard
    from diffusion_core.conversion import Addition
    from diffusion_core.model import ModelFolder

NAME_HELP = f"a name from `{CALLED} models list`"


def add_commands(commands: Commands) -> None:
    parser = commands.add_parser("models", help="the models at hand, and those that are loaded")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    adding = actions.add_parser(
        "add",
        help="make a published checkpoint one of our models; needs no server",
        description="Converts a checkpoint of DiT, SiT or FlowDCN (the released files, what their "
        "training codes write, or a folder of diffusers) to safetensors beside a card. A server "
        f"that runs already loads it by `{CALLED} models load NAME`.",
    )
    adding.add_argument("--family", required=True, help="sit-xl-2-256, dit-xl-2-512, …")
    adding.add_argument("--checkpoint", required=True, type=Path, metavar="FILE")
    adding.add_argument(
        "--vae",
        type=Path,
        metavar="FOLDER",
        help="the autoencoder as diffusers has it (stabilityai/sd-vae-ft-ema); without one, small "
        "pictures are estimated from the latents",
    )
    adding.add_argument("--name", help="default: the family's")
    _add_home(adding)
    adding.set_defaults(run=_add)

    listing = actions.add_parser("list", help="all models at hand; needs no server")
    _add_home(listing)
    listing.set_defaults(run=_list)

    showing = actions.add_parser("show", help="the card of one; needs no server")
    showing.add_argument("name", help=NAME_HELP)
    _add_home(showing)
    showing.set_defaults(run=_show)

    removing = actions.add_parser("remove", help="delete one that was added; needs no server")
    removing.add_argument("name", help=NAME_HELP)
    _add_home(removing)
    removing.set_defaults(run=_remove)

    loading = add_server_command(actions, "load", "make a model resident on the server", _load)
    loading.add_argument("name", help=NAME_HELP)
    unloading = add_server_command(actions, "unload", "give a model's memory back", _unload)
    unloading.add_argument("name", help=NAME_HELP)


def _add_home(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, WorkerSettings, ("home",))


def _home(arguments: argparse.Namespace) -> Path:
    return read_worker_settings(given_flags(arguments, WorkerSettings)).home


def _add(arguments: argparse.Namespace) -> None:
    # torch takes seconds to import, and most commands do without.
    from diffusion_core.conversion import Addition
    from diffusion_core.families import get_family

    family = get_family(arguments.family)
    name = family.name if arguments.name is None else arguments.name
    addition = Addition(family, arguments.checkpoint, name, arguments.vae)
    folder = _with_progress(_home(arguments), addition)
    shape = " x ".join(map(str, folder.card.latent_shape))
    print(f"{folder.card.name}: {folder.card.title}, {_size(folder)}, latents {shape}")
    print(f"sha256 {folder.card.weights_sha256}")
    print(folder.path)
    if folder.card.vae is None:
        print("without an autoencoder (--vae), pictures are small estimates from the latents")
    print(f"a server that starts loads it; `{CALLED} models load {folder.card.name}` one that runs")


def _with_progress(home: Path, addition: "Addition") -> "ModelFolder":
    from diffusion_core.conversion import add_model
    from diffusion_core.registry import MODELS

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: list[TaskID] = []

        def tell(stage: str) -> None:
            for task in tasks:
                progress.update(task, total=1, completed=1)
            tasks.append(progress.add_task(stage, total=None))

        folder = add_model(home / MODELS, addition, tell)
        for task in tasks:
            progress.update(task, total=1, completed=1)
    return folder


def _list(arguments: argparse.Namespace) -> None:
    table = Table("name", "schedule", "samples", "size", "what it is", box=None)
    for folder in _at_hand(arguments).values():
        card = folder.card
        table.add_row(
            card.name,
            card.schedule,
            _samples(card),
            _size(folder),
            card.title,
        )
    table_console().print(table)


def _samples(card: "ModelCard") -> str:
    what = {"pixels": "pixels", "vae": "latents, VAE"}.get(card.decoder, "latents, no VAE")
    return f"{card.latent_shape[1]}x{card.latent_shape[2]} {what}"


def _show(arguments: argparse.Namespace) -> None:
    print(_find(arguments).card.model_dump_json(indent=2))


def _remove(arguments: argparse.Namespace) -> None:
    from diffusion_core.conversion import remove_model
    from diffusion_core.registry import MODELS

    models = _home(arguments) / MODELS
    path = _broken(arguments, models) or _find(arguments).path
    if path.parent != models:
        raise CommandFailed(f"{arguments.name} was not added: it is in {path}")
    remove_model(models, path.name)
    print(f"removed {path}; a server that has it loaded keeps it until it is unloaded")


def _broken(arguments: argparse.Namespace, models: Path) -> Path | None:
    """The folder whose card cannot be read, so that it has no name but its own."""
    from diffusion_core.model import CARD_FILE

    cards = {card.parent.name: card.parent for card in models.glob(f"*/{CARD_FILE}")}
    return cards.get(arguments.name) if arguments.name not in _at_hand(arguments) else None


def _find(arguments: argparse.Namespace) -> "ModelFolder":
    from diffusion_core.model import get_model

    return get_model(_at_hand(arguments), arguments.name)


def _at_hand(arguments: argparse.Namespace) -> "dict[str, ModelFolder]":
    from diffusion_core.registry import models_at_hand

    return models_at_hand(_home(arguments), ())


def _size(folder: "ModelFolder") -> str:
    import torch

    from diffusion_core.memory import in_words

    return in_words(folder.num_bytes(torch.float32))


def _load(client: Client, arguments: argparse.Namespace) -> None:
    model = client.load_model(arguments.name)
    print(f"{model.name} is loaded")


def _unload(client: Client, arguments: argparse.Namespace) -> None:
    model = client.unload_model(arguments.name)
    print(f"{model.name} is unloaded")
