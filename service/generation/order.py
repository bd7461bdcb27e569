"""A request for images with every default filled in: what is to be made, and from what."""

import asyncio
import secrets
import time
from dataclasses import dataclass

from diffusion_core.card import ModelCard
from diffusion_core.model import LoadedModel
from diffusion_core.select import SelectedSolver
from solver_store.reference import AutoReference, NameReference, parse_reference

from ..assembly import Services
from ..engine.requests import ImageRequest, Report, Watched
from ..errors import FieldRefused
from ..png import Provenance
from ..problems import blaming
from ..schemas import GenerateRequest
from ..version import VERSION

NUM_DRAWN_SEEDS = 2**32  # of 2**53: short enough to be typed again


@dataclass(frozen=True)
class Order:
    model: LoadedModel
    class_id: int
    class_name: str
    solver: SelectedSolver
    steps: int
    guidance_scale: float
    guided_channels: int
    seed: int  # of image 0; image i has seed + i
    num_images: int
    deterministic: bool
    preview: bool
    deadline_at: float | None  # time.monotonic()
    watched: Watched | None  # whose quality its pictures tell

    def image_requests(self, report: Report) -> list[ImageRequest]:
        return [
            ImageRequest(
                model=self.model.card.name,
                program=self.solver.program,
                class_label=self.class_id,
                guidance_scale=self.guidance_scale,
                seed=self.seed + index,
                deterministic=self.deterministic,
                deadline_at=self.deadline_at,
                report=report,
                guided_channels=self.guided_channels,
                watched=self.watched,
            )
            for index in range(self.num_images)
        ]

    def provenance(self, index: int) -> Provenance:
        return Provenance(
            model=self.model.card.name,
            model_digest=self.model.digest,
            class_id=self.class_id,
            class_name=self.class_name,
            solver=self.solver.name,
            solver_version=self.solver.version,
            solver_digest=self.solver.digest,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            guided_channels=self.guided_channels,
            seed=self.seed + index,
            deterministic=self.deterministic,
            fewstep=VERSION,
        )


async def take_order(request: GenerateRequest, services: Services) -> Order:
    """Raises FieldRefused for an unknown model, class or solver, or one that does not fit."""
    name = services.default_model if request.model is None else request.model
    with blaming("model", name):
        model = services.residency.get(name)
    card = model.card
    with blaming("class_id", request.class_id):
        class_name = card.class_name(request.class_id)
    guidance_scale = request.guidance_scale
    if guidance_scale is None:
        guidance_scale = card.default_guidance_scale
    guided_channels = _guided_channels(request, card)
    with blaming("solver", request.solver):
        solver = await _select(services, request.solver, card, request.steps, guidance_scale)
    return Order(
        model=model,
        class_id=request.class_id,
        class_name=class_name,
        solver=solver,
        steps=request.steps,
        guidance_scale=guidance_scale,
        guided_channels=guided_channels,
        seed=_seed(request),
        num_images=request.num_images,
        deterministic=request.deterministic,
        preview=request.preview,
        deadline_at=_deadline(request),
        watched=_watched(
            request.solver,
            solver,
            (guidance_scale, guided_channels)
            == (card.default_guidance_scale, card.guided_channels),
        ),
    )


def _guided_channels(request: GenerateRequest, card: ModelCard) -> int:
    """Raises FieldRefused where the model has fewer."""
    if request.guided_channels is None:
        return card.guided_channels
    channels = card.latent_shape[0]
    if request.guided_channels > channels:
        rule = f"must be at most {channels}, the channels of {card.name}"
        raise FieldRefused("guided_channels", rule, request.guided_channels)
    return request.guided_channels


async def _select(
    services: Services, reference: str, card: ModelCard, steps: int, guidance_scale: float
) -> SelectedSolver:
    """From memory where possible; a thread waits for the database where not."""
    known = services.selector.cached(reference, card, steps, guidance_scale)
    if known is not None:
        return known
    return await asyncio.to_thread(services.selector.select, reference, card, steps, guidance_scale)


def _watched(reference: str, solver: SelectedSolver, is_usual: bool) -> Watched | None:
    """What is as the model is meant to be used, by the solver that a name stands for now.

    A pinned version is somebody's own business, and another guidance scale another distribution.
    """
    if is_usual and isinstance(parse_reference(reference), AutoReference | NameReference):
        return Watched(solver.name, solver.digest)
    return None


def _seed(request: GenerateRequest) -> int:
    return secrets.randbelow(NUM_DRAWN_SEEDS) if request.seed is None else request.seed


def _deadline(request: GenerateRequest) -> float | None:
    return None if request.deadline_ms is None else time.monotonic() + request.deadline_ms / 1000
