"""The tiny model with a judge: a few projections of the pixels, and what converged pictures are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from diffusion_core.classic import classical_table
from diffusion_core.model import LoadedModel
from diffusion_core.noise import initial_noise
from diffusion_core.program import StepProgram, compile_program, sample
from diffusion_core.quality import FeatureStatistics, Judge
from service.engine.requests import ImageRequest, Watched
from service.fid_proxy.proxy import FidProxy
from tests.service.engine.conftest import HandCranked

NUM_FEATURES = 24
REFERENCE_SEEDS = range(100_000, 101_000)


class Projections:
    """A Classifier: random projections of 8x8 pictures."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self._directions = torch.randn(3 * 8 * 8, NUM_FEATURES, generator=generator)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self._directions

    @property
    def classify(self) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda features: features

    def state_dict(self) -> Mapping[str, Any]:
        return {"directions": self._directions}


def program(model: LoadedModel, solver: str, steps: int) -> StepProgram:
    return compile_program(classical_table(solver, "rectified-flow", steps), model.card.kind)


@torch.inference_mode()
def features_of(model: LoadedModel, solver: str, steps: int, seeds: range) -> torch.Tensor:
    """(B, D), by the plain sampling loop, every class as often."""
    noise = torch.stack([initial_noise(seed, model.card.latent_shape) for seed in seeds])
    labels = torch.tensor([seed % len(model.card.classes) for seed in seeds])
    latents = sample(model.network, program(model, solver, steps), noise, labels, None)
    return Projections().features(latents.clamp(-1, 1))


def judge_of(model: LoadedModel) -> Judge:
    """Its reference are converged pictures of the model."""
    converged = features_of(model, "ab4", 32, REFERENCE_SEEDS)
    return Judge(Projections(), FeatureStatistics.of(converged))


def requests(model: LoadedModel, solver: str, steps: int, seeds: range) -> list[ImageRequest]:
    """Every class as often."""
    watched = Watched(solver, classical_table(solver, "rectified-flow", steps).digest)
    made_by = program(model, solver, steps)
    return [
        ImageRequest(
            model=model.card.name,
            program=made_by,
            class_label=seed % len(model.card.classes),
            guidance_scale=1.0,
            seed=seed,
            watched=watched,
        )
        for seed in seeds
    ]


def make(model: LoadedModel, proxy: FidProxy, images: Sequence[ImageRequest]) -> None:
    """Serve these images, and let the proxy have all the time it wants."""
    engine = HandCranked([model], queue_rows=10_000, max_rows=16, spare_time=proxy)
    for start in range(0, len(images), 16):
        engine.submit(images[start : start + 16], lambda event: None)
        engine.crank_until_idle()
        while proxy.when_idle():
            pass


def damaged(model: LoadedModel, noise: float) -> LoadedModel:
    """The same model, its weights perturbed by so much of their spread; under the same digest."""
    network = model.card.architecture.build().eval().requires_grad_(False)
    # Out of the layout that the processor multiplies in.
    weights = model.network.state_dict()
    network.load_state_dict({k: v.to_dense() if v.is_mkldnn else v for k, v in weights.items()})
    generator = torch.Generator().manual_seed(2)
    for parameter in network.parameters():
        spread = parameter.data.std() if parameter.numel() > 1 else 1.0
        parameter.data += noise * spread * torch.randn(parameter.shape, generator=generator)
    return replace(model, network=network)
