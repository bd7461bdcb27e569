"""The converged solution: where the ODE of a network ends, from each noise.

A classical solver of high order stands for it, at the first of a few step counts where doubling
them changes little. On the bundled model at guidance 1.5 UniPC-3 over uniform log-SNR is within
3e-4 of the true end at 48 steps; Adams-Bashforth 4 over uniform times is at 1e-2 there, because
the velocity turns quickest near the data.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from diffusion_core.classic import classical_table
from diffusion_core.program import compile_program
from diffusion_core.quality import endpoint_rmse

from ..errors import SearchRefused
from ..kept import named, read_endpoints, read_json, write_endpoints, write_json
from .meter import Meter
from .plan import EVALUATION_SEEDS_FROM
from .portions import Portions
from .subject import Subject

SOLVER = "unipc-3-lambda"
LADDER = (48, 96, 128)  # step counts, as far as twice as many still make a table
TOLERANCE = 1e-3  # of the root mean square change, where data has a spread of about 1
NUM_PROBES = 20
BLOCK = 60  # endpoints in a file
WHAT = "converged solutions"


@dataclass(frozen=True)
class Converged:
    """A solver that counts as the ODE itself."""

    solver: str
    steps: int
    self_error: float  # root mean square change when its steps are doubled


class Reference:
    """Converged endpoints of evaluation noises, kept in blocks: what was cut off goes on there."""

    def __init__(self, subject: Subject, portions: Portions, cache: Path | None, meter: Meter):
        self._subject = subject
        self._portions = portions
        self._cache = cache
        self._meter = meter

    def converge(self) -> Converged:
        """Find the step count. Raises SearchRefused where the ODE has no finite end."""
        meaning = self._subject.problem.meaning | {"solver": SOLVER, "ladder": LADDER}
        path = named(self._cache, "converged", meaning, ".json")
        known = None if path is None else read_json(path)
        if known is not None:
            return Converged(**known)
        found = self._climb()
        if path is not None:
            write_json(asdict(found), path)
        return found

    def endpoints(self, converged: Converged, first_seed: int, count: int) -> Tensor:
        """(count, C, H, W) float32 on the host, of consecutive seeds from the first on."""
        first_block, start = divmod(first_seed, BLOCK)
        blocks = range(first_block, (first_seed + count - 1) // BLOCK + 1)
        self._meter.expect(len(blocks) * self._rows(BLOCK, converged.steps))
        solutions = torch.cat([self._block(converged.steps, block) for block in blocks])
        return solutions[start : start + count]

    def _climb(self) -> Converged:
        probes = range(EVALUATION_SEEDS_FROM, EVALUATION_SEEDS_FROM + NUM_PROBES)
        solutions: dict[int, Tensor] = {}
        for steps in LADDER:
            for count in (steps, 2 * steps):
                if count not in solutions:
                    self._meter.expect(self._rows(NUM_PROBES, count))
                    solutions[count] = self._solve(count, probes)
            self_error = endpoint_rmse(solutions[steps], solutions[2 * steps])
            if self_error <= TOLERANCE:
                break
        if not math.isfinite(self_error):
            raise SearchRefused(
                f"{self._subject.name} cannot be measured at guidance scale "
                f"{self._subject.problem.guidance_scale:g}: {SOLVER} has no finite end at "
                f"{steps} steps"
            )
        return Converged(SOLVER, steps, self_error)

    def _block(self, steps: int, block: int) -> Tensor:
        meaning = self._subject.problem.meaning | {"solver": SOLVER, "steps": steps, "size": BLOCK}
        path = named(self._cache, "endpoints", meaning, f"/{block:07d}.safetensors")
        known = None if path is None else read_endpoints(path)
        if known is not None:
            self._meter.advance(self._rows(BLOCK, steps), WHAT)
            return known
        first = EVALUATION_SEEDS_FROM + block * BLOCK
        solutions = self._solve(steps, range(first, first + BLOCK))
        if path is not None:
            write_endpoints(solutions, path)
        return solutions

    def _solve(self, steps: int, seeds: range) -> Tensor:
        kind = self._subject.problem.kind
        program = compile_program(classical_table(SOLVER, kind.schedule, steps), kind)
        parts = []
        for part in self._portions.of(seeds, lambda s: self._subject.sample(program, s)[0].cpu()):
            parts.append(part)
            self._meter.advance(self._rows(len(part), steps), WHAT)
        return torch.cat(parts)

    def _rows(self, num_samples: int, steps: int) -> int:
        return num_samples * steps * self._subject.rows_per_sample


def most_evaluations(num_endpoints: int) -> int:
    """How many it takes where nothing is known: the step counts tried, and the last of them."""
    tried = {count for steps in LADDER for count in (steps, 2 * steps)}
    blocks = math.ceil(num_endpoints / BLOCK)
    return NUM_PROBES * sum(tried) + blocks * BLOCK * LADDER[-1]
