"""A solver is data: a table of times and weights.

          node_times   times     carry   weights
    n=0      s0         t0        c0     w00
    n=1      s1         t1        c1     w10  w11
    n=2      s2         t2        c2     w20  w21  w22
                        t3

    x_{n+1} = carry[n] * x_n + sum_k weights[n][k] * u_{n+1-len(row)+k}

with u_j the (guided) prediction at (x_j, node_times[j]). Rows are aligned to the newest prediction:
the last weight of row n belongs to u_n, so a row may be shorter than n + 1 and the upper triangle
cannot be written. Euler, Heun, Adams-Bashforth, DDIM, DPM-Solver++, UniPC, DEIS and every searched
solver have this form.

Source: the linear multistep form of Wang et al., arXiv 2505.21114, eq. 16 and 19, with carry and
node times set free.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any

from .errors import TableError

MAX_NFE = 256
MAX_NUMBER = (2 - 2**-23) * 2.0**127  # the largest float32: every device computes with these
SCHEDULES = ("rectified-flow", "vp", "ddpm")


class Prediction(StrEnum):
    """What a network gives, or what a solver sums."""

    VELOCITY = "velocity"
    DATA = "data"
    NOISE = "noise"


@dataclass(frozen=True)
class SolverTable:
    """The numbers of one solver at one number of evaluations; equal numbers, equal digest.

    Raises TableError when a rule is broken.
    """

    schedule: str  # whose t the times are: "rectified-flow", "vp" or "ddpm"
    prediction: Prediction  # what is summed
    node_times: tuple[float, ...]  # (nfe,)     time given to the network at evaluation n
    times: tuple[float, ...]  # (nfe + 1,) where the state stands, noise end first
    carry: tuple[float, ...]  # (nfe,)
    weights: tuple[tuple[float, ...], ...]  # row n: 1 to n + 1 weights, the last is u_n's

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise TableError(
                f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}"
            )
        try:
            object.__setattr__(self, "prediction", Prediction(self.prediction))
        except ValueError:
            kinds = ", ".join(Prediction)
            raise TableError(
                f"prediction must be one of {kinds}, got {self.prediction!r}"
            ) from None
        object.__setattr__(self, "node_times", _numbers("node_times", self.node_times))
        object.__setattr__(self, "times", _numbers("times", self.times))
        object.__setattr__(self, "carry", _numbers("carry", self.carry))
        object.__setattr__(self, "weights", _rows(self.weights))
        self._check_lengths()
        self._check_times()

    def _check_lengths(self) -> None:
        nfe = len(self.node_times)
        if not 1 <= nfe <= MAX_NFE:
            raise TableError(f"a table holds 1 to {MAX_NFE} nodes, node_times has {nfe}")
        if len(self.times) != nfe + 1:
            raise TableError(f"times must hold nfe + 1 = {nfe + 1} numbers, got {len(self.times)}")
        if len(self.carry) != nfe:
            raise TableError(f"carry must hold nfe = {nfe} numbers, got {len(self.carry)}")
        if len(self.weights) != nfe:
            raise TableError(f"weights must hold nfe = {nfe} rows, got {len(self.weights)}")
        for n, row in enumerate(self.weights):
            if not 1 <= len(row) <= n + 1:
                raise TableError(f"weights[{n}] must hold 1 to {n + 1} numbers, got {len(row)}")

    def _check_times(self) -> None:
        """The state moves one way, from the noise end to the data end, or rests."""
        low, high, direction = _TIME_RULES[self.schedule]
        for name, values in (("times", self.times), ("node_times", self.node_times)):
            for n, t in enumerate(values):
                if not low <= t <= high:
                    raise TableError(
                        f"{name}[{n}] must lie in [{low:g}, {high:g}] for schedule "
                        f"{self.schedule}, got {t!r}"
                    )
        for n in range(self.nfe):
            if (self.times[n + 1] - self.times[n]) * direction < 0:
                order = "rise" if direction > 0 else "fall"
                raise TableError(
                    f"times must {order} or rest on schedule {self.schedule}: times[{n}] is "
                    f"{self.times[n]!r}, times[{n + 1}] is {self.times[n + 1]!r}"
                )

    @property
    def nfe(self) -> int:
        """Number of network evaluations; one guided pair counts as one."""
        return len(self.node_times)

    @cached_property
    def history_length(self) -> int:
        """How many predictions a lane must keep."""
        return max(len(row) for row in self.weights)

    @cached_property
    def canonical_json(self) -> str:
        """Sorted keys, no spaces, shortest float representation, no negative zero."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical JSON, as 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        return {
            "schedule": self.schedule,
            "prediction": self.prediction.value,
            "node_times": list(self.node_times),
            "times": list(self.times),
            "carry": list(self.carry),
            "weights": [list(row) for row in self.weights],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SolverTable":
        """Read a table from decoded JSON. Raises TableError for missing or unknown fields."""
        names = {field.name for field in fields(cls)}
        if missing := sorted(names - values.keys()):
            raise TableError(f"a table needs the field {missing[0]!r}")
        if unknown := sorted(values.keys() - names):
            raise TableError(f"a table has no field {unknown[0]!r}")
        return cls(**values)


# name: (lowest time, highest time, +1 where time rises from noise to data)
_TIME_RULES = {
    "rectified-flow": (0.0, 1.0, +1),
    "vp": (0.0, 1.0, -1),
    "ddpm": (-1.0, 999.0, -1),
}


def _rows(value: object) -> tuple[tuple[float, ...], ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TableError(f"weights must be a list of rows, got {type(value).__name__}")
    return tuple(_numbers(f"weights[{n}]", row) for n, row in enumerate(value))


def _numbers(place: str, value: object) -> tuple[float, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TableError(f"{place} must be a list of numbers, got {type(value).__name__}")
    return tuple(_number(f"{place}[{k}]", entry) for k, entry in enumerate(value))


def _number(place: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TableError(f"{place} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        raise TableError(f"{place} must be finite, got an integer too large for a float") from None
    if not math.isfinite(number):
        raise TableError(f"{place} must be finite, got {value!r}")
    if abs(number) > MAX_NUMBER:
        raise TableError(f"{place} must lie within ±{MAX_NUMBER:g}, as float32 does, got {value!r}")
    return number + 0.0  # turns -0.0 into 0.0: equal tables must have equal digests
