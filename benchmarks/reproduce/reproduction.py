"""All of it in order: model, images, archive, figures."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from diffusion_core.adm import InceptionQuality
from diffusion_core.model import ModelFolder, load_model
from diffusion_core.program import compile_program
from search_jobs.search import Shard
from solver_store.table import SolverTable

from ..results import Result, Target
from .archive import write_archive
from .chunks import Chunks
from .filling import fill
from .measuring import Measure, measure
from .models import ModelSource, autoencoder_digest, find_model, is_of_family
from .recipe import Labels, Recipe
from .rows import NUM_SAMPLES, Row
from .sampling import Sampler
from .solvers import find_table

ARCHIVE = "samples.npz"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Two of the paper's searches differ by up to 0.25, two sets of seeds by less than a tenth.
TOLERANCE = 0.1

ABOUT = (
    "Samples by the recipe in the parameters, seeds one after another, compared with the "
    "reference as ADM's evaluator does it."
)


@dataclass(frozen=True)
class Order:
    """What is to be made, and where it is kept."""

    row: Row
    steps: int
    source: ModelSource
    solver: str
    guidance_scale: float
    guided_channels: int
    labels: Labels
    samples: int
    seed: int
    dtype: str
    batch_size: int
    piece: int
    out: Path
    measure: Measure | None  # None: no more than the archive

    @property
    def is_as_published(self) -> bool:
        """Whether this is what the row asks for, whatever the model."""
        row = self.row
        return (
            self.steps in row.fids
            and self.samples == NUM_SAMPLES
            and (self.solver, self.guidance_scale, self.guided_channels, self.labels)
            == (row.solver(self.steps), row.guidance_scale, row.guided_channels, row.labels)
        )


@dataclass(frozen=True)
class Run:
    """What an order comes to, once its files have been read."""

    order: Order
    folder: ModelFolder
    table: SolverTable
    recipe: Recipe

    @classmethod
    def of(cls, order: Order) -> "Run":
        """Raises BenchmarkError, DiffusionError, OSError where a file is missing or unfit."""
        if order.measure is not None:
            order.measure.check()  # before hours of sampling, not after
        folder = find_model(order.source, order.out / "models")
        table = find_table(order.solver, folder.card.schedule, order.steps)
        compile_program(table, folder.card.kind)  # for what it refuses
        recipe = Recipe(
            model=folder.weights_digest,
            autoencoder=autoencoder_digest(folder),
            table=table.digest,
            guidance_scale=order.guidance_scale,
            guided_channels=order.guided_channels,
            labels=order.labels,
            seed=order.seed,
            dtype=order.dtype,
            batch_size=order.batch_size,
            piece=order.piece,
        )
        return cls(order, folder, table, recipe)

    @property
    def is_as_published(self) -> bool:
        """Whether its FID is to be held against the row's."""
        order = self.order
        return order.is_as_published and is_of_family(self.folder.card, order.row.family)

    @property
    def images(self) -> Chunks:
        order = self.order
        return Chunks(order.out / "images", self.recipe.as_dict(), order.samples, order.piece)

    def sampler(self, device: torch.device) -> Sampler:
        """Raises ModelInvalid, ModelTooLarge."""
        model = load_model(self.folder, device, DTYPES[self.order.dtype])
        return Sampler(model, compile_program(self.table, model.card.kind), self.recipe)


def reproduce(order: Order, device: torch.device, shard: Shard) -> Result | None:
    """Make what is missing of the images and measure them; the first process has the result.

    Raises BenchmarkError, DiffusionError, SearchError, OSError.
    """
    run = shard.of_first(Run.of, order)
    if shard.of_first(run.images.missing):
        fill(run.images, run.sampler(device).make, shard, "sampling")
    shard.of_first(write_archive, run.images, order.out / ARCHIVE)
    if order.measure is None:
        return None
    digests = shard.of_first(order.measure.digests)
    quality = measure(run.images, order.measure, digests, device, shard)
    return None if quality is None else _result(run, quality, digests, device)


def _result(
    run: Run, quality: InceptionQuality, digests: dict[str, str], device: torch.device
) -> Result:
    order, figures, targets = run.order, asdict(quality), []
    if run.is_as_published:
        figures["fid_above_published"] = quality.fid - order.row.fids[order.steps]
        targets.append(Target("fid_above_published", "<=", TOLERANCE))
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return Result(
        name=f"reproduce-{order.row.name}-{order.steps}",
        about=ABOUT,
        parameters={
            "row": order.row.name,
            "published_fid": order.row.fids.get(order.steps),
            "model_name": run.folder.card.name,
            "solver": order.solver,
            "steps": order.steps,
            "device": gpu or device.type,
            **run.recipe.as_dict(),
            **digests,
        },
        figures=figures,
        samples={"images": order.samples, "archive": ARCHIVE},
        targets=targets,
    )
