"""fewstep generate 7 --steps 8 -o seven.png"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..client import Client, Done, Event, Lost, Made, Order, Queued, Stepped
from .common import CommandFailed, Commands, add_connection_flags, guidance_scale, output_file
from .contact_sheet import contact_sheet


def add_command(commands: Commands) -> None:
    parser = commands.add_parser("generate", help="make images of one class")
    parser.add_argument("class_id", nargs="?", type=int, help="index of the class")
    parser.add_argument("--class-name", help="the class by its name instead")
    parser.add_argument("--steps", type=int, default=8, help="network evaluations (8)")
    parser.add_argument("--model", help="default: the server's")
    parser.add_argument("--solver", default="auto", help="euler, ab2, dpmpp-2m, a name … (auto)")
    parser.add_argument(
        "--guidance-scale", type=guidance_scale, help="default: the model's; 1 for none"
    )
    parser.add_argument(
        "--guided-channels",
        type=int,
        help="guidance acts on so many channels; default: the model's",
    )
    parser.add_argument("--seed", type=int, help="of the first image; default: drawn")
    parser.add_argument("--num-images", type=int, default=1, help="with seeds counting up (1)")
    parser.add_argument("--deterministic", action="store_true", help="bit for bit repeatable")
    parser.add_argument(
        "-o",
        "--output",
        type=output_file(".png"),
        default="image.png",
        metavar="FILE.png",
        help="file to write (image.png)",
    )
    parser.add_argument("--json", action="store_true", help="say on stdout what was made")
    add_connection_flags(parser)
    parser.set_defaults(run=_generate)


def _generate(arguments: argparse.Namespace) -> None:
    with Client(arguments.url, arguments.api_key) as client:
        order = Order(
            class_id=_class_id(client, arguments),
            steps=arguments.steps,
            model=arguments.model,
            solver=arguments.solver,
            guidance_scale=arguments.guidance_scale,
            guided_channels=arguments.guided_channels,
            seed=arguments.seed,
            num_images=arguments.num_images,
            deterministic=arguments.deterministic,
        )
        result = _follow(client, order)
    files = _write(result, arguments.output)
    if arguments.json:
        print(json.dumps({**result.order, "files": [str(file) for file in files]}, indent=2))
    else:
        _tell(result, files)
    if result.lost:
        raise result.lost[0].error


def _class_id(client: Client, arguments: argparse.Namespace) -> int:
    """Raises CommandFailed where the class is not said, said twice, unknown, or one of several."""
    if (arguments.class_id is None) == (arguments.class_name is None):
        raise CommandFailed("say one class: its index, or --class-name")
    if arguments.class_id is not None:
        return int(arguments.class_id)
    classes = client.model(arguments.model).classes
    asked = arguments.class_name.casefold()
    named = [class_id for class_id, name in enumerate(classes) if name.casefold() == asked]
    if not named:
        by_folded = {name.casefold(): name for name in classes}
        near = [by_folded[name] for name in get_close_matches(asked, by_folded)]
        known = f"near it: {', '.join(near)}" if near else f"there are {', '.join(classes[:40])}"
        raise CommandFailed(f"no class is named {arguments.class_name!r}; {known}")
    if len(named) > 1:  # ImageNet has two cranes
        ids = " and ".join(map(str, named))
        raise CommandFailed(f"several classes are named {arguments.class_name!r}: {ids}; say which")
    return named[0]


@dataclass
class Result:
    """What has arrived so far."""

    order: Mapping[str, Any] = field(default_factory=dict)  # as the server took it
    images: dict[int, bytes] = field(default_factory=dict)  # by index
    lost: list[Lost] = field(default_factory=list)
    timing_ms: Mapping[str, float] | None = None

    def take(self, event: Event) -> None:
        match event:
            case Queued():
                self.order = event.order
            case Made():
                self.images[event.index] = event.image.png
            case Lost():
                self.lost.append(event)
            case Done():
                self.timing_ms = event.timing_ms
            case Stepped():
                pass


def _follow(client: Client, order: Order) -> Result:
    """Show a bar while the images are made."""
    result = Result()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("waiting", total=order.steps * order.num_images)
        for event in client.stream(order):
            result.take(event)
            if isinstance(event, Stepped):
                progress.update(task, advance=1, description="steps")
    return result


def _write(result: Result, output: Path) -> list[Path]:
    """seven.png; or seven-0.png, seven-1.png … and seven-sheet.png."""
    images = [result.images[index] for index in sorted(result.images)]
    if result.order["num_images"] == 1:
        files = [output] if images else []
    else:
        files = [output.with_stem(f"{output.stem}-{index}") for index in sorted(result.images)]
    for file, png in zip(files, images, strict=True):
        file.write_bytes(png)
    if len(images) > 1:
        sheet = output.with_stem(f"{output.stem}-sheet")
        contact_sheet(images).save(sheet, format="PNG")
        files.append(sheet)
    return files


def _tell(result: Result, files: list[Path]) -> None:
    order, solver = result.order, result.order["solver"]
    version = "" if solver["version"] is None else f"/{solver['version']}"
    total = "" if result.timing_ms is None else f" in {result.timing_ms['total']:.0f} ms"
    print(
        f"{order['class_name']} of {order['model']}: {solver['name']}{version}, "
        f"{order['steps']} steps, guidance {order['guidance_scale']:g}, "
        f"seed {order['seed']}{total}"
    )
    for file in files:
        print(file)
