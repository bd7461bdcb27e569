"""A solver table compiled for a model, and the one update that runs every solver.

    u_n     = prediction_x[n] * x_n + prediction_out[n] * network(x_n, network_time[n])
    x_{n+1} = carry[n] * x_n + sum_j weights[n, j] * u_j

Serving and searching call the same `predict` and `update`.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from solver_store.table import Prediction, SolverTable

from .coefficients import Coefficients
from .errors import TableMismatch
from .prediction import affine
from .schedule import get_schedule, network_time


class Network(Protocol):
    """Anything that predicts: (B, C, H, W), (B,) float32, (B,) int64 -> (B, C, H, W)."""

    def __call__(self, x: Tensor, time: Tensor, class_label: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class NetworkKind:
    """What a network was trained to read and to give."""

    schedule: str  # "rectified-flow", "vp" or "ddpm"
    prediction: Prediction
    time_scale: float = 1.0  # network time = time_scale * t, t in the schedule's own clock


@dataclass(frozen=True)
class StepProgram:
    """A table compiled for one kind of network; N steps, H predictions kept.

    Prediction j lives in history slot j mod H. float64 here; float32 on the device.
    """

    network_time: Tensor  # (N,)
    prediction_x: Tensor  # (N,)
    prediction_out: Tensor  # (N,)
    carry: Tensor  # (N,)
    data_x: Tensor  # (N,)  the picture that the solver sees: data_x * x_n + data_u * u_n
    data_u: Tensor  # (N,)
    weights: Tensor  # (N, H), by slot

    @property
    def steps(self) -> int:
        return self.network_time.shape[0]

    @property
    def history_length(self) -> int:
        return self.weights.shape[1]

    @cached_property
    def rows(self) -> npt.NDArray[np.float32]:
        """(N, 6 + H), on the host: the columns above in their order, then the weights."""
        columns = (
            self.network_time,
            self.prediction_x,
            self.prediction_out,
            self.carry,
            self.data_x,
            self.data_u,
        )
        packed = torch.cat([torch.stack(columns, dim=1), self.weights], dim=1)
        return packed.detach().to(torch.float32).numpy()


def compile_program(table: SolverTable | Coefficients, kind: NetworkKind) -> StepProgram:
    """Compile a table for a kind of network; differentiable in the numbers of `Coefficients`.

    Raises TableMismatch where the schedules differ or where a conversion between predictions is
    infinite in float32 (a noise-predicting network at alpha = 0, for instance).
    """
    numbers = Coefficients.from_table(table) if isinstance(table, SolverTable) else table
    schedule = get_schedule(numbers.schedule)
    time = network_time(numbers.node_times, numbers.schedule, kind.schedule) * kind.time_scale
    state_times = numbers.times[:-1]
    prediction_x, prediction_out = affine(
        kind.prediction, numbers.prediction, schedule, state_times
    )
    _refuse_infinite(prediction_x, prediction_out, numbers, kind)
    data_x, data_u = affine(numbers.prediction, Prediction.DATA, schedule, state_times)
    return StepProgram(
        network_time=time,
        prediction_x=prediction_x,
        prediction_out=prediction_out,
        carry=numbers.carry,
        data_x=data_x,
        data_u=data_u,
        weights=_weights_by_slot(numbers.weights),
    )


def _refuse_infinite(
    prediction_x: Tensor, prediction_out: Tensor, numbers: Coefficients, kind: NetworkKind
) -> None:
    # As the device has them: what is finite in float64 may be infinite in float32.
    finite = prediction_x.float().isfinite() & prediction_out.float().isfinite()
    if not bool(finite.all()):
        n = int((~finite).nonzero()[0])
        raise TableMismatch(
            f"a table over {numbers.prediction} predictions cannot run on a network that predicts "
            f"{kind.prediction}: the conversion is infinite at times[{n}] = "
            f"{float(numbers.times[n]):g}"
        )


def _weights_by_slot(weights: Tensor) -> Tensor:
    """(N, N) lower triangle -> (N, H): the weight on prediction j moves to column j mod H."""
    nfe = weights.shape[0]
    ages = torch.arange(nfe)[:, None] - torch.arange(nfe)[None, :]  # (N, N) n - j
    history = int(ages[weights.detach() != 0].max()) + 1 if bool(weights.any()) else 1
    n = torch.arange(nfe)[:, None]
    slot = torch.arange(history)[None, :]
    newest = n - (n - slot) % history  # (N, H) newest j <= n that lives in this slot
    gathered = weights.gather(1, newest.clamp(min=0))
    return torch.where(newest >= 0, gathered, torch.zeros_like(gathered))


def predict(
    network: Network,
    x: Tensor,
    time: Tensor,
    class_label: Tensor,
    guidance: "Guidance | None" = None,
    pad_to: int = 0,
) -> Tensor:
    """Evaluate the network once for every lane; guided lanes take two rows of the same forward.

    x            (B, C, H, W)  state, float32
    time         (B,)          network time, float32 even where the network runs in bfloat16
    class_label  (B,)          int64
    pad_to       rows to fill up with zeros: at one batch size, a row's result does not depend on
                 its position or its neighbours, so a fixed size makes results repeat bit for bit
    Returns      (B, C, H, W)  guided network output, float32
    """
    num_lanes = x.shape[0]
    if guidance is not None:
        x = torch.cat([x, x[guidance.lanes]])
        time = torch.cat([time, time[guidance.lanes]])
        null = torch.full_like(guidance.lanes, guidance.null_class)
        class_label = torch.cat([class_label, null])
    num_rows = x.shape[0]
    if num_rows < pad_to:
        x = torch.cat([x, x.new_zeros(pad_to - num_rows, *x.shape[1:])])
        time = torch.cat([time, time.new_zeros(pad_to - num_rows)])
        class_label = torch.cat([class_label, class_label.new_zeros(pad_to - num_rows)])
    out = network(x, time, class_label).float()[:num_rows]
    if guidance is None:
        return out
    return guide(out[:num_lanes], out[num_lanes:], guidance)


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance of some of the lanes."""

    lanes: Tensor  # (G,)  int64, which lanes are guided
    scale: Tensor  # (G,)  float32
    channels: Tensor  # (G,)  int64, guided channels from the first on; DiT guides 3 of its 4
    null_class: int

    @classmethod
    def of_all(
        cls,
        scale: float,
        num_lanes: int,
        null_class: int,
        channels: int,
        device: torch.device | None = None,
    ) -> "Guidance":
        """Every lane alike."""
        return cls(
            lanes=torch.arange(num_lanes, device=device),
            scale=torch.full((num_lanes,), scale, device=device),
            channels=torch.full((num_lanes,), channels, device=device),
            null_class=null_class,
        )


def guide(conditional: Tensor, unconditional: Tensor, guidance: Guidance) -> Tensor:
    """unconditional + scale * (conditional - unconditional), on the guided lanes and channels.

    conditional    (B, C, H, W)
    unconditional  (G, C, H, W)
    Returns        (B, C, H, W)

    Source: Ho & Salimans, "Classifier-free diffusion guidance" (2022).
    """
    chosen = conditional[guidance.lanes]
    guided = unconditional + per_row(guidance.scale, chosen) * (chosen - unconditional)
    channel = torch.arange(chosen.shape[1], device=chosen.device)
    is_guided = channel < guidance.channels[:, None]  # (G, C)
    guided = torch.where(is_guided[:, :, None, None], guided, chosen)
    return conditional.index_copy(0, guidance.lanes, guided)


def update(x: Tensor, history: Sequence[Tensor], carry: Tensor, weights: Tensor) -> Tensor:
    """Advance every lane by one solver step.

        x_next = carry * x + sum_k weights[:, k] * history[k]

    x        (B, C, H, W)     state at times[n], float32
    history  K x (B, C, H, W) predictions by slot; slots that are not written yet hold zeros
    carry    (B,)
    weights  (B, K)
    Returns  (B, C, H, W)     state at times[n + 1]

    Source: the linear multistep form of Wang et al. 2025, eq. 16 and 19.
    """
    x_next = per_row(carry, x) * x
    # One slot after another and not one contraction: the result then does not depend on how many
    # unused slots the widest neighbour in the batch brings along.
    for k, prediction in enumerate(history):
        x_next = x_next + per_row(weights[:, k], x) * prediction
    return x_next


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, 1), to be multiplied with (B, C, H, W)."""
    return values.view(-1, *[1] * (like.dim() - 1))


def sample(
    network: Network,
    program: StepProgram,
    noise: Tensor,
    class_label: Tensor,
    guidance: Guidance | None = None,
) -> Tensor:
    """Run a whole program on a batch: noise (B, C, H, W) -> latents (B, C, H, W).

    Differentiable in the program's numbers.
    """
    # The last of the states; the others are let go as they pass.
    return deque(trajectory(network, program, noise, class_label, guidance), maxlen=1).pop()


def sample_table(
    network: Network,
    table: SolverTable,
    kind: NetworkKind,
    noise: Tensor,
    class_label: Tensor,
    guidance: Guidance | None = None,
) -> Tensor:
    """`sample` with a table: for once, where compiling it each time does not matter."""
    return sample(network, compile_program(table, kind), noise, class_label, guidance)


def trajectory(
    network: Network,
    program: StepProgram,
    noise: Tensor,
    class_label: Tensor,
    guidance: Guidance | None = None,
) -> Iterator[Tensor]:
    """The states (B, C, H, W) after every step, as `sample` passes through them."""
    num_lanes = noise.shape[0]
    rows = [
        column.to(noise.device, torch.float32)
        for column in (
            program.network_time,
            program.prediction_x,
            program.prediction_out,
            program.carry,
        )
    ]
    weights = program.weights.to(noise.device, torch.float32)
    x = noise
    history: list[Tensor] = []
    for n in range(program.steps):
        time, prediction_x, prediction_out, carry = (row[n].expand(num_lanes) for row in rows)
        out = predict(network, x, time, class_label, guidance)
        u = per_row(prediction_x, x) * x + per_row(prediction_out, x) * out
        remember(history, n % program.history_length, u)
        x = update(x, history, carry, weights[n].expand(num_lanes, -1))
        yield x


def remember(history: list[Tensor], slot: int, prediction: Tensor) -> None:
    """Write a prediction into its slot; slots fill in order."""
    if slot == len(history):
        history.append(prediction)
    else:
        history[slot] = prediction
