"""A solver table as tensors, so that gradients reach every time and weight."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solver_store.table import Prediction, SolverTable


@dataclass(frozen=True)
class Coefficients:
    """The numbers of a SolverTable in float64 tensors, with the weights as a full lower triangle.

        x_{n+1} = carry[n] * x_n + sum_j weights[n, j] * u_j

    A search optimises these; a table is their detached copy.
    """

    schedule: str
    prediction: Prediction
    node_times: Tensor  # (N,)
    times: Tensor  # (N + 1,)
    carry: Tensor  # (N,)
    weights: Tensor  # (N, N), row n zero beyond column n

    @property
    def nfe(self) -> int:
        return self.node_times.shape[0]

    @classmethod
    def from_table(cls, table: SolverTable) -> "Coefficients":
        weights = torch.zeros(table.nfe, table.nfe, dtype=torch.float64)
        for n, row in enumerate(table.weights):
            weights[n, n + 1 - len(row) : n + 1] = torch.tensor(row, dtype=torch.float64)
        return cls(
            schedule=table.schedule,
            prediction=table.prediction,
            node_times=torch.tensor(table.node_times, dtype=torch.float64),
            times=torch.tensor(table.times, dtype=torch.float64),
            carry=torch.tensor(table.carry, dtype=torch.float64),
            weights=weights,
        )

    def to_table(self) -> SolverTable:
        """The detached copy; leading zeros of a row are left out.

        Raises TableError where the numbers break a rule of SolverTable.
        """
        weights = self.weights.detach().tolist()
        return SolverTable(
            schedule=self.schedule,
            prediction=self.prediction,
            node_times=tuple(self.node_times.detach().tolist()),
            times=tuple(self.times.detach().tolist()),
            carry=tuple(self.carry.detach().tolist()),
            weights=tuple(_newest(row[: n + 1]) for n, row in enumerate(weights)),
        )


def _newest(row: list[float]) -> tuple[float, ...]:
    """Drop the leading zeros, but keep one weight."""
    first = next((k for k, weight in enumerate(row) if weight != 0.0), len(row) - 1)
    return tuple(row[first:])
