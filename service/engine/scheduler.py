"""Which lanes step next. Knows nothing of tensors.

Every lane has a virtual finish: the tick at which it would be done had it stepped at every tick
since it came. Lanes with the earliest virtual finish go first. A short request so overtakes long
ones, yet every tick that a lane waits brings it nearer to the head: nothing starves.

Background lanes step only while there is no other lane: whoever comes waits for at most the one
step that is in flight.
"""

from bisect import insort
from dataclasses import dataclass, field


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
    def remaining_cost(self) -> int:
        """Network rows still to be evaluated."""
        return self.rows * (self.steps - self.step)

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


class Scheduler:
    """Holds every lane, waiting or running, in the order of virtual finish."""

    def __init__(self, row_limits: dict[str, int], deterministic_rows: dict[str, int]):
        self.row_limits = row_limits  # network rows per forward, by model
        self.deterministic_rows = deterministic_rows  # fixed by the model's card
        self.ticks = 0
        self._lanes: list[Lane] = []

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(self._lanes)

    def __len__(self) -> int:
        return len(self._lanes)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for any of the lanes."""
        return any(not lane.background for lane in self._lanes)

    def add(self, lane: Lane) -> None:
        lane.virtual_finish = self.ticks + lane.steps
        # insort keeps the order of arrival among equals.
        insort(self._lanes, lane, key=lambda known: known.virtual_finish)

    def remove(self, lane: Lane) -> None:
        self._lanes.remove(lane)

    def expired(self, now: float) -> list[Lane]:
        """Lanes whose deadline has passed."""
        return [lane for lane in self._lanes if lane.is_late(now)]

    def schedule(self) -> StepBatch | None:
        """The lanes that step next, or None where there are none."""
        if not self._lanes:
            return None
        awaited = [lane for lane in self._lanes if not lane.background] or self._lanes
        head = awaited[0]
        peers = [lane for lane in awaited if lane.model == head.model]
        if not head.deterministic:
            peers = [lane for lane in peers if not lane.deterministic]
            return self._pack(head.model, peers, self.row_limits[head.model], pad_to=0)
        # Deterministic forwards have a fixed number of rows; what is left over is free for others.
        peers.sort(key=lambda lane: not lane.deterministic)
        rows = self.deterministic_rows[head.model]
        return self._pack(head.model, peers, rows, pad_to=rows)

    def _pack(self, model: str, lanes: list[Lane], row_limit: int, pad_to: int) -> StepBatch:
        chosen: list[Lane] = []
        free = max(row_limit, lanes[0].rows)  # one lane always fits
        for lane in lanes:
            if lane.rows <= free:
                chosen.append(lane)
                free -= lane.rows
            if free == 0:
                break
        return StepBatch(model, tuple(chosen), sum(lane.rows for lane in chosen), pad_to)

    def retire(self, batch: StepBatch) -> list[Lane]:
        """Count the step; the lanes that are done leave and are returned."""
        self.ticks += 1
        for lane in batch.lanes:
            lane.step += 1
        finished = [lane for lane in batch.lanes if lane.step == lane.steps]
        for lane in finished:
            self._lanes.remove(lane)
        return finished

    def halve_row_limit(self, model: str) -> int:
        """After memory ran out. Returns the new limit; a guided lane must still fit."""
        self.row_limits[model] = max(2, self.row_limits[model] // 2)
        return self.row_limits[model]
