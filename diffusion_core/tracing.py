"""A solver, run on coefficients instead of images, gives its own table.

Every quantity of a solver that is affine in states and predictions is a vector of float64
coefficients over (x_n, u_0, ..., u_{N-1}), where x_n, the origin, is the state at which the network
was last asked. A solver is then written as the plain algorithm that it is; what it hands to the
network next, read in this basis, is one row of its table:

    x_{n+1} = row[0] * x_n + sum_j row[1 + j] * u_j

Counting from x_n and not from the initial noise keeps what a solver does not use exactly zero, so
that a row, and with it the history that a lane keeps, is as short as the solver's memory.
"""

import torch
from torch import Tensor

from solver_store.table import Prediction

from .coefficients import Coefficients
from .schedule import Schedule, network_time


class Tracer:
    """Stands in for the network, and writes down the states that it is asked at."""

    def __init__(self, nfe: int):
        self._basis = torch.eye(nfe + 1, dtype=torch.float64)
        self._asked = 0
        self._rows: list[Tensor] = []

    def start(self) -> Tensor:
        """The initial noise, (N + 1,)."""
        return self._basis[0]

    def ask(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate the network at a state: (that state as the new origin, its prediction)."""
        if self._asked:
            self._rows.append(state)
        self._asked += 1
        return self._basis[0], self._basis[self._asked]

    def from_new_origin(self, vector: Tensor) -> Tensor:
        """A vector from before the last `ask`, in the basis after it.

        The old origin is (x_n - row[1:] . u) / row[0]. No solver looks back over a step with
        row[0] = 0, which only leads to the clean image.
        """
        row = self._rows[-1]
        share = vector[0] / row[0]
        return torch.cat([share[None], vector[1:] - share * row[1:]])

    def finish(self, state: Tensor) -> Tensor:
        """The rows of the table, with `state` the final one; (N, N + 1)."""
        return torch.stack([*self._rows, state])


def coefficients_from_rows(
    rows: Tensor, schedule: Schedule, prediction: Prediction, times: Tensor
) -> Coefficients:
    """The network is asked where the state stands, within the range that it was trained on.

    rows   (N, N + 1)  from Tracer.finish
    times  (N + 1,)    where the state stands
    """
    return Coefficients(
        schedule=schedule.name,
        prediction=prediction,
        node_times=network_time(times[:-1], schedule.name, schedule.name),
        times=times,
        carry=rows[:, 0],
        weights=rows[:, 1:],
    )
