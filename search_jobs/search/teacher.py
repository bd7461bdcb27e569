"""The teacher: where the converged ODE ends, computed once and kept.

The endpoints of noise seeds 0, 1, 2 … depend on the network and the guidance scale alone, so all
step counts, methods, epochs and jobs share them. They are kept in blocks, each one safetensors
file named by what it depends on: a computation that was cut off goes on at its last block. Several
processes take blocks in turn, so that no two of them write the same file.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from diffusion_core.classic import classical_table
from diffusion_core.program import compile_program, trajectory

from ..kept import named, read_endpoints, write_endpoints
from .problem import Problem
from .shard import ALONE, Shard

BLOCK = 32  # endpoints in a file, and in a forward
MAX_TEACHER_SEEDS = 2**20
# On the bundled model with guidance 1.5 its end is .002 (root mean square) from the ODE's at 32
# steps, where Adams-Bashforth 4 over uniform times is still .007 away at 64.
SOLVER = "unipc-3-lambda"

Tick = Callable[[int, int], None]  # told how many network evaluations are done, of how many
Told = Callable[[int, int], None]  # told of the block from such a seed on, and of its steps


@dataclass(frozen=True)
class Teacher:
    """A classical solver with so many steps that it counts as the ODE itself."""

    problem: Problem
    solver: str
    steps: int
    folder: Path | None  # of all caches; None keeps nothing

    @classmethod
    def of(cls, problem: Problem, folder: Path | None, steps: int = 32) -> "Teacher":
        return cls(problem, SOLVER, steps, folder)

    def endpoints(
        self, count: int, tick: Tick = lambda done, of: None, shard: Shard = ALONE
    ) -> Tensor:
        """Of noise seeds 0 to count - 1: (count, C, H, W) float32, on the problem's device.

        tick  is called after every step; of several processes, in which it may be a meeting, after
              the blocks that they compute at one time. It may raise to end the work.
        """
        assert count <= MAX_TEACHER_SEEDS
        of = self.cost(count)

        def told(start: int, steps: int) -> None:
            tick(min(self.cost(start) + BLOCK * steps, of), of)

        compute = self._block if shard.size > 1 else partial(self._block, told=told)
        starts = range(0, count, BLOCK)
        blocks: list[Tensor] = []
        for first in range(0, len(starts), shard.size):
            blocks += shard.map(compute, starts[first : first + shard.size])
            told(len(blocks) * BLOCK, 0)
        return torch.cat(blocks)[:count].to(self.problem.device)

    def cost(self, count: int) -> int:
        """Network evaluations of so many endpoints: a cached one is charged as if computed."""
        return count * self.steps

    def _block(self, start: int, told: Told = lambda start, steps: None) -> Tensor:
        path = self._path(start)
        known = None if path is None else read_endpoints(path)
        if known is not None:
            return known
        endpoints = self._compute(start, told)
        if path is not None:
            write_endpoints(endpoints, path)
        return endpoints

    @torch.no_grad()
    def _compute(self, start: int, told: Told) -> Tensor:
        """Always a whole block: what a block holds does not depend on how many were asked for."""
        problem = self.problem
        table = classical_table(self.solver, problem.kind.schedule, self.steps)
        program = compile_program(table, problem.kind)
        x, labels = problem.draw(range(start, start + BLOCK))
        states = trajectory(problem.network, program, x, labels, problem.guidance(BLOCK))
        for step in range(1, program.steps + 1):
            x = next(states)
            told(start, step)
        return x.cpu()

    def _path(self, start: int) -> Path | None:
        meaning = {"solver": self.solver, "steps": self.steps, "block": BLOCK}
        end = f"/{start:07d}.safetensors"
        return named(self.folder, "teacher", self.problem.meaning | meaning, end)
