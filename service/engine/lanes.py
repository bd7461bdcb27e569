"""The tensors of the lanes of one model: state and history, one slot per lane."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffusion_core.decoder import to_uint8
from diffusion_core.memory import synchronise
from diffusion_core.model import LoadedModel
from diffusion_core.noise import initial_noise
from diffusion_core.program import Guidance, StepProgram, per_row, predict, update

from .requests import ImageRequest, Pixels, Report


@dataclass(frozen=True)
class LaneStep:
    """One lane's share of a step."""

    slot: int
    request: ImageRequest
    step: int  # steps done so far: the row of the program


class LaneBank:
    """Owns slots; grows when they run out, and shrinks when all are free.

    All methods run on the engine thread.
    """

    def __init__(self, model: LoadedModel, capacity: int = 16):
        self.model = model
        channels, height, width = model.card.latent_shape
        self._shape = (channels, height, width)
        # What is kept for good: going back to it must not need memory that may not be there.
        self._least = (self._zeros(capacity), self._zeros(capacity))
        self._state: Tensor  # (slots, C, H, W) float32
        self._history: list[Tensor]  # per history slot: (slots, C, H, W) float32
        self._free: list[int]
        self._shrink()

    @property
    def num_used(self) -> int:
        return self._state.shape[0] - len(self._free)

    def admit(self, request: ImageRequest) -> int:
        """Give the image a slot with its noise and an empty history.

        Where memory runs out no slot is taken, and the bank serves its other lanes as before.
        """
        if not self._free:
            self._grow()
        missing = request.program.history_length - len(self._history)
        # All of them, or none: memory may run out at any.
        self._history.extend([torch.zeros_like(self._state) for _ in range(missing)])
        slot = self._free[-1]
        self._state[slot] = initial_noise(request.seed, self._shape).to(self.model.device)
        for predictions in self._history:
            # Zeroed, not left stale: an unused slot has weight 0, and 0 * NaN is NaN.
            predictions[slot].zero_()
        self._free.pop()
        return slot

    def release(self, slot: int) -> None:
        self._free.append(slot)
        if self.num_used == 0:
            self._shrink()

    def advance(self, steps: Sequence[LaneStep], pad_to: int) -> list[Pixels | None]:
        """One network evaluation and one solver update for every lane.

        Nothing that a repeated call needs is overwritten before the new state is written, and that
        comes last: a step that failed halfway can be tried again.
        Returns the preview of each lane that asked for one.
        """
        device = self.model.device
        # From arrays, not lists: torch takes a multiple of the time to read a list.
        slots, class_label = torch.from_numpy(_pack_integers(steps)).to(device).unbind(1)
        rows = torch.from_numpy(_pack_rows(steps)).to(device)  # (B, 6 + K)
        time, prediction_x, prediction_out, carry, data_x, data_u = rows[:, :6].unbind(1)
        weights = rows[:, 6:]
        x = self._state.index_select(0, slots)  # (B, C, H, W)
        out = predict(
            self.model.network, x, time, class_label, self._guidance(steps), pad_to=pad_to
        )
        u = per_row(prediction_x, x) * x + per_row(prediction_out, x) * out
        self._remember(steps, slots, u)
        used = self._history[: weights.shape[1]]
        history = [predictions.index_select(0, slots) for predictions in used]
        state = update(x, history, carry, weights)
        previews: list[Pixels | None] = [None] * len(steps)
        wanted = [i for i, lane in enumerate(steps) if lane.request.report is Report.PREVIEWS]
        if wanted:
            seen = per_row(data_x, x) * x + per_row(data_u, x) * u
            previews = self._previews(len(steps), wanted, seen)
        self._state.index_copy_(0, slots, state)
        synchronise(device)  # what it took and what failed is this step's, and not the next one's
        return previews

    def finish(self, slots: Sequence[int]) -> list[Pixels | None]:
        """Decode finished lanes; None for a lane whose values are no longer finite."""
        chosen = torch.from_numpy(np.array(slots, dtype=np.int64)).to(self.model.device)
        latents = self._state.index_select(0, chosen)
        # A sum is finite only if all its terms are, and much quicker than a look at each.
        finite = latents.flatten(1).sum(dim=1).isfinite().tolist()
        pictures = _pixels(self.model.decoder(latents))
        return [picture if good else None for picture, good in zip(pictures, finite, strict=True)]

    def _previews(self, num_lanes: int, wanted: list[int], seen: Tensor) -> list[Pixels | None]:
        """The pictures that the solver sees, for the lanes that want them."""
        previews: list[Pixels | None] = [None] * num_lanes
        rgb = self.model.decoder.preview(seen[wanted])
        for i, picture in zip(wanted, _pixels(rgb), strict=True):
            previews[i] = picture
        return previews

    def _guidance(self, steps: Sequence[LaneStep]) -> Guidance | None:
        guided = [i for i, lane in enumerate(steps) if lane.request.rows == 2]
        if not guided:
            return None
        device, card = self.model.device, self.model.card
        requests = [steps[i].request for i in guided]
        channels = [request.guided_channels or card.guided_channels for request in requests]
        return Guidance(
            lanes=torch.tensor(guided, device=device),
            scale=torch.tensor([request.guidance_scale for request in requests], device=device),
            channels=torch.tensor(channels, device=device),
            null_class=card.null_class,
        )

    def _remember(self, steps: Sequence[LaneStep], slots: Tensor, u: Tensor) -> None:
        """Write each lane's prediction into the history slot of its step."""
        by_history_slot: dict[int, list[int]] = {}
        for i, lane in enumerate(steps):
            k = lane.step % lane.request.program.history_length
            by_history_slot.setdefault(k, []).append(i)
        for k, lanes in by_history_slot.items():
            if len(lanes) == len(steps):
                self._history[k].index_copy_(0, slots, u)
            else:
                chosen = torch.tensor(lanes, device=slots.device)
                self._history[k].index_copy_(0, slots[chosen], u[chosen])

    def _grow(self) -> None:
        capacity = self._state.shape[0]
        # All of it, or nothing: memory may run out at any of these.
        state = torch.cat([self._state, self._zeros(capacity)])
        history = [torch.cat([kept, self._zeros(capacity)]) for kept in self._history]
        self._state, self._history = state, history
        self._free.extend(range(capacity, 2 * capacity))

    def _shrink(self) -> None:
        """Without lanes: let go of what was grown."""
        state, history = self._least
        self._state, self._history = state, [history]
        self._free = list(range(state.shape[0]))

    def _zeros(self, slots: int) -> Tensor:
        return torch.zeros(slots, *self._shape, device=self.model.device)


def _pixels(rgb: Tensor) -> list[Pixels]:
    return list(to_uint8(rgb).cpu().numpy())


def _pack_integers(steps: Sequence[LaneStep]) -> "np.ndarray[tuple[int, int], np.dtype[np.int64]]":
    """(B, 2) int64: slot and class label of every lane."""
    return np.array([(lane.slot, lane.request.class_label) for lane in steps], dtype=np.int64)


def _pack_rows(steps: Sequence[LaneStep]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    """(B, 6 + K) float32: this step's row of every lane's program, K the longest history."""
    programs: list[StepProgram] = [lane.request.program for lane in steps]
    width = max(program.rows.shape[1] for program in programs)
    packed = np.zeros((len(steps), width), dtype=np.float32)
    for i, (lane, program) in enumerate(zip(steps, programs, strict=True)):
        row = program.rows[lane.step]
        packed[i, : row.shape[0]] = row
    return packed
