"""Search a solver for a network of your own, and compare it: no server, no store.

    ./run python examples/own_network.py

The network here is a stand-in for yours: the exact velocity of a mixture of 16 normal
distributions, which is nonlinear enough that few steps are not enough for Euler.
"""

import torch
from torch import Tensor, nn

from diffusion_core.classic import classical_table
from diffusion_core.program import NetworkKind, sample_table
from diffusion_core.quality import endpoint_rmse
from search_jobs.search import Problem, search
from solver_store.table import Prediction, SolverTable

STEPS = 5
SHAPE = (2, 4, 4)
KIND = NetworkKind("rectified-flow", Prediction.VELOCITY)  # t = 0 is noise, v = data - noise


class Mixture(nn.Module):
    """forward(x (B, 2, 4, 4), time (B,), class_label (B,)) -> velocity (B, 2, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        means = torch.randn(16, *SHAPE, generator=torch.Generator().manual_seed(0))
        self.register_buffer("means", means)
        self.means: Tensor

    def forward(self, x: Tensor, time: Tensor, class_label: Tensor) -> Tensor:
        t = time.view(-1, 1, 1, 1)
        spread, variance = 0.2, (0.2 * t) ** 2 + (1 - t) ** 2  # of each component at t
        away = x[:, None] - t[:, None] * self.means  # (B, 16, 2, 4, 4)
        closeness = -away.square().flatten(2).sum(2) / (2 * variance.view(-1, 1))
        shares = closeness.softmax(dim=1).view(*closeness.shape, 1, 1, 1)
        gain = (t * spread**2 - (1 - t)) / variance
        return (shares * (self.means + gain[:, None] * away)).sum(dim=1)


def main() -> None:
    problem = Problem(network=Mixture(), kind=KIND, latent_shape=SHAPE, num_classes=1)
    found = search(problem, STEPS, budget=60_000)

    noise, labels = problem.draw(range(2**40, 2**40 + 256))  # seeds that no search draws
    converged = sample_table(
        problem.network, classical_table("ab4", "rectified-flow", 200), KIND, noise, labels
    )

    def error(table: SolverTable) -> float:
        ends = sample_table(problem.network, table, KIND, noise, labels)
        return endpoint_rmse(ends, converged)

    print(f"distance from the converged solution after {STEPS} evaluations:")
    for name in ("euler", "heun", "ab2", "dpmpp-2m", "unipc-3"):
        print(f"  {name:<10} {error(classical_table(name, 'rectified-flow', STEPS)):.4f}")
    print(f"  {'searched':<10} {error(found.table):.4f}   ({found.evaluations:,} evaluations)")
    print(found.table.canonical_json)


if __name__ == "__main__":
    main()
