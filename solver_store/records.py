"""The values that cross the store's border: frozen, checked when they are made."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeAlias

from .errors import RecordError
from .reference import check_name
from .table import MAX_NFE, SolverTable

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

CHAMPION = "champion"  # lowest Fréchet distance: what `auto` follows
FAITHFUL = "faithful"  # lowest endpoint error: closest to the converged ODE

MAX_JSON_BYTES = 1 << 20
MAX_GUIDANCE_SCALE = 50.0


@dataclass(frozen=True)
class Target:
    """What a name stands for, beside its NFE: one model at one guidance scale.

    Raises RecordError or InvalidReference when a rule is broken.
    """

    model: str
    guidance_scale: float

    def __post_init__(self) -> None:
        check_name(self.model)
        object.__setattr__(self, "guidance_scale", _guidance_scale(self.guidance_scale))

    def solver_name(self, steps: int) -> str:
        """The usual name of its solvers: glyphs-g1.5-8."""
        return f"{self.model}-g{repr(self.guidance_scale).removesuffix('.0')}-{steps}"


@dataclass(frozen=True)
class Evidence:
    """How one version did on one model at one guidance scale.

    Raises RecordError when a rule is broken.
    """

    model: str
    model_digest: str  # sha256 of the weights, 64 hexadecimal digits
    steps: int  # the NFE
    guidance_scale: float
    metrics: Mapping[str, float]  # finite
    details: Mapping[str, JSON] = field(default_factory=dict)  # samples, seeds, machine, intervals
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        check_text("evidence model", self.model, 100)
        if not re.fullmatch("[0-9a-f]{64}", self.model_digest):
            raise RecordError(
                "evidence model_digest must be 64 lower-case hexadecimal digits, "
                f"got {self.model_digest!r:.80}"
            )
        if type(self.steps) is not int or not 1 <= self.steps <= MAX_NFE:
            raise RecordError(f"evidence steps must be 1 to {MAX_NFE}, got {self.steps!r}")
        if self.created_at.tzinfo is None:
            raise RecordError("evidence created_at must carry its time zone")
        object.__setattr__(self, "guidance_scale", _guidance_scale(self.guidance_scale))
        object.__setattr__(self, "metrics", _metrics(self.metrics))
        object.__setattr__(self, "details", json_object("evidence details", self.details))

    def says_the_same_as(self, other: "Evidence") -> bool:
        """Equal in everything but the time of writing."""
        return replace(other, created_at=self.created_at) == self

    def as_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "model_digest": self.model_digest,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "metrics": dict(self.metrics),
            "details": dict(self.details),
            "created_at": self.created_at.isoformat(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Evidence":
        """The inverse of as_dict. Raises RecordError, ValueError, KeyError, TypeError."""
        created_at = datetime.fromisoformat(values["created_at"])
        return cls(**{**values, "created_at": created_at})


@dataclass(frozen=True)
class SolverVersion:
    """One table under one name, with where it came from and how it did."""

    name: str
    version: int
    table: SolverTable
    source: Mapping[str, JSON]
    evidence: tuple[Evidence, ...]  # in the order of writing
    created_at: datetime

    @property
    def digest(self) -> str:
        return self.table.digest

    def as_dict(self) -> dict[str, Any]:
        """The version as the HTTP contract and exported files have it."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "table": self.table.as_dict(),
            "source": dict(self.source),
            "evidence": [entry.as_dict() for entry in self.evidence],
            "created_at": self.created_at.isoformat(),
        }


@dataclass(frozen=True)
class Publication:
    """What publishing did: a new version, or the one that already held this table."""

    version: SolverVersion
    is_new: bool


@dataclass(frozen=True)
class AliasMove:
    """One move of an alias, by whom and why; the last one says where the alias points."""

    name: str
    alias: str
    from_version: int | None  # None where the move made the alias
    to_version: int
    moved_by: str
    note: str
    moved_at: datetime


@dataclass(frozen=True)
class SolverSummary:
    """A name at a glance, without its tables."""

    name: str
    schedule: str
    steps: int
    target: Target | None  # None where the name stands for no particular model
    num_versions: int  # the newest version's number
    aliases: Mapping[str, int]  # alias -> version
    created_at: datetime


def json_text(place: str, value: Mapping[str, JSON]) -> str:
    """A JSON object as text for the database. Raises RecordError."""
    if not isinstance(value, Mapping):
        raise RecordError(f"{place} must be a JSON object, got {type(value).__name__}")
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        size = len(text.encode())  # a lone surrogate is no text
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordError(f"{place} must be JSON: {error}") from None
    if size > MAX_JSON_BYTES:
        raise RecordError(f"{place} must fit {MAX_JSON_BYTES} bytes, got {size}")
    return text


def json_object(place: str, value: Mapping[str, JSON]) -> dict[str, Any]:
    """A copy of a JSON object, as it will be read back. Raises RecordError."""
    decoded: dict[str, Any] = json.loads(json_text(place, value))
    return decoded


def check_text(place: str, text: str, max_length: int) -> str:
    """Return text that both databases can hold. Raises RecordError."""
    if len(text) > max_length:
        raise RecordError(f"{place} must have at most {max_length} characters, got {len(text)}")
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise RecordError(f"{place} must be text without NUL or surrogates, got {text!r:.80}")
    return text


def _metrics(values: Mapping[str, float]) -> dict[str, float]:
    floats = {name: _number(f"evidence metrics[{name!r}]", value) for name, value in values.items()}
    return json_object("evidence metrics", floats)


def _guidance_scale(value: float) -> float:
    number = _number("guidance_scale", value)
    if not 0 <= number <= MAX_GUIDANCE_SCALE:
        raise RecordError(f"guidance_scale must lie in [0, {MAX_GUIDANCE_SCALE:g}], got {value!r}")
    return number


def _number(place: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecordError(f"{place} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise RecordError(f"{place} must be finite, got {value!r}")
    return float(value) + 0.0  # -0.0 and 0.0 are one number
