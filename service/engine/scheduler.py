"""Which lanes step next. Knows nothing of tensors.

Models take turns, a step each: next is the one whose last turn is longest ago. However much work
one model has, another waits for one step of each.

Within a model every lane has a virtual finish: the tick at which it would be done had it stepped
at each of the model's ticks since it came. Lanes with the earliest virtual finish go first. A short
request so overtakes long ones, yet every tick that a lane waits brings it nearer to the head:
nothing starves.

Background lanes step only while there is no other lane: whoever comes waits for at most the one
step that is in flight.
"""

from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from .row_limit import RowLimit


@dataclass(eq=False)
class Lane:
    """One image on its way from noise to picture: the facts that scheduling needs."""

    model: str
    steps: int
    rows: int  # network rows that a step takes: 2 where guided
    deterministic: bool = False
    deadline_at: float | None = None  # time.monotonic()
    background: bool = False  # nobody waits for it
    step: int = 0  # steps done
    virtual_finish: int = field(default=0, init=False)  # set by the scheduler

    @property
    def booked_rows(self) -> int:
        """Its part of the queue: network rows times steps to come.

        Its last step counts until the picture is out: an image that waits for its decoding is not
        yet done with.
        """
        return self.rows * max(1, self.steps - self.step)

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline_at is not None and self.deadline_at <= now


@dataclass(frozen=True)
class StepBatch:
    """Lanes of one model that share the next forward."""

    model: str
    lanes: tuple[Lane, ...]
    rows: int  # network rows in use
    pad_to: int  # network rows of the forward, where fixed; 0 where free
    is_full: bool  # a lane that could have stepped found no row free


class ModelLanes:
    """The lanes of one model, waiting or running, in the order of virtual finish."""

    def __init__(self, model: str, row_limit: int, deterministic_rows: int):
        self.model = model
        self.row_limit = RowLimit(row_limit)
        self.deterministic_rows = deterministic_rows  # fixed by the model's card
        self.lanes: list[Lane] = []
        self.ticks = 0  # of this model: its steps so far
        self.last_turn = 0

    def add(self, lane: Lane) -> None:
        lane.virtual_finish = self.ticks + lane.steps
        # insort keeps the order of arrival among equals.
        insort(self.lanes, lane, key=lambda known: known.virtual_finish)

    def has(self, background: bool) -> bool:
        return any(lane.background == background for lane in self.lanes)

    def batch(self, background: bool) -> StepBatch:
        """The lanes of this kind that step together; there must be one."""
        peers = [lane for lane in self.lanes if lane.background == background]
        if not peers[0].deterministic:
            free = [lane for lane in peers if not lane.deterministic]
            return self._pack(free, self.row_limit.rows, pad_to=0)
        # Deterministic forwards have a fixed number of rows; what is left over is free for others.
        peers.sort(key=lambda lane: not lane.deterministic)
        return self._pack(peers, self.deterministic_rows, pad_to=self.deterministic_rows)

    def _pack(self, lanes: Sequence[Lane], row_limit: int, pad_to: int) -> StepBatch:
        chosen: list[Lane] = []
        free = max(row_limit, lanes[0].rows)  # one lane always fits
        for lane in lanes:
            if lane.rows <= free:
                chosen.append(lane)
                free -= lane.rows
            if free == 0:
                break
        rows = sum(lane.rows for lane in chosen)
        return StepBatch(self.model, tuple(chosen), rows, pad_to, len(chosen) < len(lanes))


class Scheduler:
    """Holds every lane of every model, and knows whose turn it is."""

    def __init__(self) -> None:
        self._models: dict[str, ModelLanes] = {}
        self._turns = 0

    def seat(self, model: str, row_limit: int, deterministic_rows: int) -> None:
        """Let a model take turns."""
        self._models[model] = ModelLanes(model, row_limit, deterministic_rows)

    def unseat(self, model: str) -> None:
        """It must have no lane."""
        self._models.pop(model, None)

    @property
    def row_limits(self) -> dict[str, int]:
        """By model; other threads may ask."""
        return {name: known.row_limit.rows for name, known in list(self._models.items())}

    def row_limit(self, model: str) -> RowLimit:
        return self._models[model].row_limit

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Of all models; other threads may ask."""
        return tuple(lane for known in list(self._models.values()) for lane in list(known.lanes))

    def __len__(self) -> int:
        return sum(len(known.lanes) for known in self._models.values())

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for any of the lanes."""
        return any(known.has(background=False) for known in self._models.values())

    def add(self, lane: Lane) -> None:
        self._models[lane.model].add(lane)

    def remove(self, lane: Lane) -> None:
        self._models[lane.model].lanes.remove(lane)

    def expired(self, now: float) -> list[Lane]:
        """Lanes whose deadline has passed."""
        return [lane for lane in self.lanes if lane.is_late(now)]

    def schedule(self, held: Collection[str] = ()) -> StepBatch | None:
        """The lanes that step next, or None where there are none.

        held: models that must not step now
        The model that is chosen has had its turn, whatever becomes of the step.
        """
        background = not self.is_awaited
        ready = [
            known
            for known in self._models.values()
            if known.model not in held and known.has(background)
        ]
        if not ready:
            return None
        chosen = min(ready, key=lambda known: known.last_turn)
        self._turns += 1
        chosen.last_turn = self._turns
        return chosen.batch(background)

    def retire(self, batch: StepBatch) -> list[Lane]:
        """Count the step; the lanes that are done leave and are returned."""
        known = self._models[batch.model]
        known.ticks += 1
        for lane in batch.lanes:
            lane.step += 1
        finished = [lane for lane in batch.lanes if lane.step == lane.steps]
        for lane in finished:
            known.lanes.remove(lane)
        return finished
