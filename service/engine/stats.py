"""What the engine looks like from outside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineStats:
    """At one moment."""

    queued_rows: int  # network rows times remaining steps, at least one, of all images
    lanes: int  # images between their first and last step
    waiting: int  # images before their first step
    row_limits: dict[str, int]
    seconds_per_row: float
    steps: int
    network_evaluations: int
    last_progress_at: float | None  # time.monotonic(): a forward or a decoding came through
    overdue_at: float | None  # when what is in flight takes too long; None where nothing is
    probe_patience_s: float  # what may well be waited for a probe; 0 where nobody knows
    draining: bool
