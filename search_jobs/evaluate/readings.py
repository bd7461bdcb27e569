"""Samples of one table, and what is read off them; the samples themselves are not kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_core.program import StepProgram, compile_program
from diffusion_core.quality import squared_errors

from .contenders import Contender
from .meter import Meter
from .plan import EvaluationPlan
from .portions import Portions
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
        for decoded in _decoded(subject, latents):
            pictures.append(decoded.clamp(-1, 1).cpu())
            meter.advance(0, WHAT)
        return cls(latents, torch.cat(pictures))

    def part(self, start: int, end: int) -> "Ends":
        return Ends(self.latents[start:end], self.pictures[start:end])


def draw(
    subject: Subject,
    plan: EvaluationPlan,
    ends: Ends,
    contender: Contender,
    portions: Portions,
    meter: Meter,
) -> Readings:
    """Sample and read; ends at the first batch that is not finite."""
    program = compile_program(contender.table, subject.problem.kind)
    rows = program.steps * subject.rows_per_sample

    def read(part: range) -> Readings:
        seeds = plan.seeds[part.start : part.stop]
        return _read(subject, program, seeds, ends.part(part.start, part.stop))

    parts: list[Readings] = []
    left = plan.num_samples
    for readings in portions.of(range(left), read):
        parts.append(readings)
        done = left if readings.num_broken else len(readings.correct)
        meter.advance(done * rows, contender.name)
        left -= done
        if left == 0:
            break
    return Readings.together(parts)


def _decoded(subject: Subject, latents: Tensor) -> Iterator[Tensor]:
    """Pictures (B', 3, H', W') on the device: an autoencoder needs more room than the network."""

    def decode(part: range) -> Tensor:
        return subject.decoder(latents[part.start : part.stop].to(subject.problem.device))

    return Portions(subject.decoder.images_at_once).of(range(len(latents)), decode)


@torch.inference_mode()
def _read(subject: Subject, program: StepProgram, seeds: Sequence[int], ends: Ends) -> Readings:
    latents, asked = subject.sample(program, seeds)
    pictures = torch.cat(list(_decoded(subject, latents)))
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
