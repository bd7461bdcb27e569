"""Samples of one table, and what is read off them; the samples themselves are not kept."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.program import StepProgram, compile_program
from diffusion_core.quality import squared_errors

from .contenders import Contender
from .meter import Meter
from .plan import EvaluationPlan
from .reference import WHAT
from .subject import Subject


@dataclass(frozen=True)
class Readings:
    """Of B samples, of which E have a converged solution beside them."""

    num_broken: int  # samples that are not finite
    errors: Tensor  # (E,) float64, mean square difference from the converged latents
    picture_errors: Tensor  # (E,) float64, the same of decoded pictures, clipped
    features: Tensor  # (B, D) float32; (B, 0) without a judge
    correct: Tensor  # (B,) float64, 1 where the judge reads the class asked for; 0 without one

    @classmethod
    def together(cls, parts: Sequence["Readings"]) -> "Readings":
        return cls(
            num_broken=sum(part.num_broken for part in parts),
            errors=torch.cat([part.errors for part in parts]),
            picture_errors=torch.cat([part.picture_errors for part in parts]),
            features=torch.cat([part.features for part in parts]),
            correct=torch.cat([part.correct for part in parts]),
        )


@dataclass(frozen=True)
class Ends:
    """Converged solutions of the first seeds of a plan, on the host, decoded once for all."""

    latents: Tensor  # (E, C, H, W) float32
    pictures: Tensor  # (E, 3, H', W') float32 in [-1, 1]

    @classmethod
    @torch.inference_mode()
    def decoded(cls, subject: Subject, latents: Tensor, meter: Meter) -> "Ends":
        """Decode, some at a time; the meter is told, so that the work can be ended here too."""
        pictures = []
        for part in torch.split(latents, subject.decoder.images_at_once):
            decoded = subject.decoder(part.to(subject.problem.device))
            pictures.append(decoded.clamp(-1, 1).cpu())
            meter.advance(0, WHAT)
        return cls(latents, torch.cat(pictures))

    def part(self, start: int, end: int) -> "Ends":
        return Ends(self.latents[start:end], self.pictures[start:end])


def draw(
    subject: Subject, plan: EvaluationPlan, ends: Ends, contender: Contender, meter: Meter
) -> Readings:
    """Sample and read; ends at the first batch that is not finite."""
    program = compile_program(contender.table, subject.problem.kind)
    size = max(1, plan.batch_rows // subject.rows_per_sample)
    rows = program.steps * subject.rows_per_sample
    parts: list[Readings] = []
    for start in range(0, plan.num_samples, size):
        seeds = plan.seeds[start : start + size]
        parts.append(_read(subject, program, seeds, ends.part(start, start + size)))
        if parts[-1].num_broken:
            meter.advance((plan.num_samples - start) * rows, contender.name)
            break
        meter.advance(len(seeds) * rows, contender.name)
    return Readings.together(parts)


@torch.inference_mode()
def _read(subject: Subject, program: StepProgram, seeds: Sequence[int], ends: Ends) -> Readings:
    latents, asked = subject.sample(program, seeds)
    pictures = subject.decoder(latents)
    compared = len(ends.latents)
    broken = ~(latents.flatten(1).isfinite().all(1) & pictures.flatten(1).isfinite().all(1))
    features, correct = latents.new_zeros(len(seeds), 0), torch.zeros(len(seeds))
    if subject.judge is not None:
        features, shown = subject.judge.read(pictures)
        correct = shown == asked
    return Readings(
        num_broken=int(broken.sum()),
        errors=squared_errors(latents[:compared], ends.latents.to(latents.device)).cpu(),
        picture_errors=squared_errors(
            pictures[:compared].clamp(-1, 1), ends.pictures.to(pictures.device)
        ).cpu(),
        features=features.float().cpu(),
        correct=correct.double().cpu(),
    )
