"""What contenders are measured on: a model at one guidance scale, with its judge."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from diffusion_core.decoder import Decoder
from diffusion_core.model import LoadedModel, ModelFolder
from diffusion_core.program import StepProgram, sample
from diffusion_core.quality import Judge, load_judge

from ..search import Problem


@dataclass(frozen=True, eq=False)
class Subject:
    """A network, how it is asked, and who looks at its pictures."""

    name: str  # of the model
    problem: Problem
    decoder: Decoder
    judge: Judge | None = None  # None: only endpoints can be measured

    @classmethod
    def of_model(cls, model: LoadedModel, folder: ModelFolder, guidance_scale: float) -> "Subject":
        """With the judge that the card names, if it names one. Raises ModelInvalid."""
        has_judge = model.card.judge is not None and model.card.statistics is not None
        judge = load_judge(folder, model.device) if has_judge else None
        problem = Problem.of_model(model, guidance_scale)
        return cls(model.card.name, problem, model.decoder, judge)

    @property
    def rows_per_sample(self) -> int:
        """Network rows of one evaluation: a guided one asks twice."""
        return 1 if self.problem.guidance_scale == 1.0 else 2

    @torch.inference_mode()
    def sample(self, program: StepProgram, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Latents (B, C, H, W) and the classes asked for (B,)."""
        noise, labels = self.problem.draw(seeds)
        guidance = self.problem.guidance(len(labels))
        return sample(self.problem.network, program, noise, labels, guidance), labels

    @property
    def meaning(self) -> dict[str, Any]:
        """All of it that a converged solution depends on, for the names of files."""
        problem = self.problem
        return {
            "network": problem.identity,
            "dtype": _dtype(problem.network),
            "kind": asdict(problem.kind),
            "latent_shape": problem.latent_shape,
            "num_classes": problem.num_classes,
            "guidance_scale": problem.guidance_scale,
            "null_class": problem.null_class,
            "guided_channels": problem.guided_channels,
            "device": problem.device.type,
            "torch": torch.__version__,
        }


def _dtype(network: object) -> str:
    """What a network computes in, as far as one can see."""
    if not isinstance(network, nn.Module):
        return "unknown"
    return str(next((parameter.dtype for parameter in network.parameters()), "unknown"))
