"""What contenders are measured on: a model at one guidance scale, with its judge."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from diffusion_core.decoder import Decoder
from diffusion_core.model import LoadedModel, ModelFolder
from diffusion_core.program import StepProgram, sample
from diffusion_core.quality import Judge, load_judge

from ..search import Problem
from .plan import EvaluationPlan


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
        return self.problem.rows_per_sample

    def plan(self, num_samples: int) -> EvaluationPlan:
        """For so many samples; where nobody judges pictures, only the ends are compared, and no
        more samples are drawn.
        """
        on_gpu = self.problem.device.type != "cpu"
        plan = EvaluationPlan.of_samples(num_samples, on_gpu)
        return plan if self.judge is not None else replace(plan, num_samples=plan.num_endpoints)

    @torch.inference_mode()
    def sample(self, program: StepProgram, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Latents (B, C, H, W) and the classes asked for (B,)."""
        noise, labels = self.problem.draw(seeds)
        guidance = self.problem.guidance(len(labels))
        return sample(self.problem.network, program, noise, labels, guidance), labels
