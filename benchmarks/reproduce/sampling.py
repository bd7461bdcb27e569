"""Seeds and classes -> images."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.decoder import to_uint8
from diffusion_core.model import LoadedModel
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, StepProgram, sample

from ..processes import BenchmarkError
from .archive import IMAGES
from .filling import Tell
from .recipe import Recipe


@dataclass(frozen=True)
class Sampler:
    """A model and how its images are made."""

    model: LoadedModel
    program: StepProgram
    recipe: Recipe

    def make(self, span: range, tell: Tell) -> dict[str, Tensor]:
        """The images of these numbers, {"images": (B, H, W, 3) uint8}.

        Raises BenchmarkError at an image that is not finite.
        """
        parts = []
        for start in range(0, len(span), self.recipe.batch_size):
            batch = span[start : start + self.recipe.batch_size]
            parts.append(self._together(batch))
            tell(len(batch))
        return {IMAGES: torch.cat(parts)}

    @torch.inference_mode()
    def _together(self, numbers: Sequence[int]) -> Tensor:
        card, recipe = self.model.card, self.recipe
        seeds = [recipe.seed + number for number in numbers]
        noise = torch.stack([initial_noise(seed, card.latent_shape) for seed in seeds])
        classes = [
            recipe.labels.of(number, seed, len(card.classes))
            for number, seed in zip(numbers, seeds, strict=True)
        ]
        labels = torch.tensor(classes, device=self.model.device)
        latents = sample(
            self.model.network,
            self.program,
            noise.to(self.model.device),
            labels,
            self._guidance(len(seeds)),
        )
        rgb = self.model.decoder(latents)
        _refuse_infinite(rgb, seeds)
        return to_uint8(rgb).cpu()

    def _guidance(self, num_images: int) -> Guidance | None:
        scale, channels = self.recipe.guidance_scale, self.recipe.guided_channels
        if scale == 1.0:
            return None
        null_class, device = self.model.card.null_class, self.model.device
        return Guidance.of_all(scale, num_images, null_class, channels, device)


def _refuse_infinite(rgb: Tensor, seeds: Sequence[int]) -> None:
    finite = rgb.flatten(1).isfinite().all(1)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0])
        raise BenchmarkError(
            f"the image of seed {seeds[first]} is not finite: another --dtype may help, "
            "or the checkpoint is damaged"
        )
