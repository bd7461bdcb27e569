"""Solvers that ship with a model: searched tables with their evidence, one JSON file a version.

    solvers/glyphs-g1.3-6-v1.json    {name, target, aliases, table, source, evidence}

They come into the store as the published tables do: once, and what people decide afterwards stays.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import NameMismatch, PromotionConflict, RecordError, StoreError
from .records import JSON, Evidence, SolverVersion, Target
from .reference import check_alias, check_free_name
from .store import SolverStore
from .table import SolverTable

SHIPPED_SOLVERS = "solvers"  # the folder beside a model's card


@dataclass(frozen=True)
class ShippedSolver:
    """A version as it lies in a file, with the aliases that are to point at it."""

    name: str
    target: Target
    aliases: tuple[str, ...]
    table: SolverTable
    source: Mapping[str, JSON]
    evidence: tuple[Evidence, ...]

    @classmethod
    def of(
        cls, version: SolverVersion, target: Target, aliases: tuple[str, ...]
    ) -> "ShippedSolver":
        return cls(version.name, target, aliases, version.table, version.source, version.evidence)

    @classmethod
    def read(cls, path: Path) -> "ShippedSolver":
        """Raises RecordError where the file is none or cannot be read."""
        try:
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
            return cls(
                name=check_free_name(content["name"]),
                target=Target(**content["target"]),
                aliases=tuple(check_alias(alias) for alias in content["aliases"]),
                table=SolverTable.from_dict(content["table"]),
                source=content["source"],
                evidence=tuple(Evidence.from_dict(entry) for entry in content["evidence"]),
            )
        except OSError as error:
            raise RecordError(f"{path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, RecursionError, StoreError) as error:
            raise RecordError(f"{path} is no shipped solver: {error}") from error

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "target": {
                "model": self.target.model,
                "guidance_scale": self.target.guidance_scale,
            },
            "aliases": list(self.aliases),
            "table": self.table.as_dict(),
            "source": dict(self.source),
            "evidence": [entry.as_dict() for entry in self.evidence],
        }

    def is_about(self, model_digest: str) -> bool:
        """Whether it was measured on these weights."""
        return any(entry.model_digest == model_digest for entry in self.evidence)


def import_shipped(store: SolverStore, model_folder: Path, model_digest: str) -> int:
    """Publish what was made for these weights; an alias that exists already stays where it is.

    Solvers of other weights are passed over: their evidence says nothing here. Safe at every start
    and from several processes at once. Returns how many versions were new.
    Raises RecordError or NameMismatch for the first that cannot be kept, when the others are in;
    StoreUnavailable.
    """
    num_new = 0
    refusals: list[RecordError | NameMismatch] = []
    for path in sorted((model_folder / SHIPPED_SOLVERS).glob("*.json")):
        try:
            solver = ShippedSolver.read(path)
            if solver.is_about(model_digest) and not _is_known(store, solver):
                num_new += _import(store, solver)
        except (RecordError, NameMismatch) as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
    return num_new


def _import(store: SolverStore, solver: ShippedSolver) -> bool:
    """Returns whether its version was new."""
    publication = store.publish(
        solver.name,
        solver.table,
        source=solver.source,
        evidence=solver.evidence,
        target=solver.target,
    )
    for alias in solver.aliases:
        # Refused where another process, or a search, was first.
        with suppress(PromotionConflict):
            store.promote(
                solver.name,
                alias,
                publication.version.version,
                expected=None,
                by="import",
                note="ships with the model",
            )
    return publication.is_new


def _is_known(store: SolverStore, solver: ShippedSolver) -> bool:
    """Its aliases exist: nothing is left to do, and nothing is written."""
    entries = {entry.name: entry for entry in store.solvers(solver.target.model, solver.table.nfe)}
    entry = entries.get(solver.name)
    return entry is not None and set(solver.aliases) <= set(entry.aliases)
