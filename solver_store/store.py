"""Which solvers there are, and which version is live.

The contract, the same on SQLite and PostgreSQL:

- **A version never changes.** `publish` appends; versions count 1, 2, 3 … under a name, without
  gaps. A table that a name already holds is not published again: its version is returned.
- **A name stands for one thing**: one schedule and NFE, fixed by its first table, and one model at
  one guidance scale, if any. A name may gain its target later, never change it, and no two names
  share one.
- **A name moves.** An alias (`champion`, `faithful`) points at a version and moves by
  compare-and-swap: whoever expects another version than the present one is refused. Every move is
  kept, with who made it and why; moving back is a move like any other.
- **Evidence is appended**, never overwritten. Evidence that says the same as what is there already
  is not written twice, so a publication cut off before its answer may simply be repeated.
- **`revision` grows with every change, and only then**; it is one cheap query, to be polled.
- An operation happens as a whole or not at all. One that returned is on disk.
- A row that does not hold what was written (a table that is not the one of its digest) is refused
  with StoreDamaged when it is read; other rows stay readable.

Any method raises StoreUnavailable when the database cannot be reached or stays locked.
Threads may share a store. Processes open their own; after a fork, open again.
"""

from collections.abc import Mapping, Sequence

from . import queries, writes
from .database import Database
from .migrations import migrate
from .records import (
    CHAMPION,
    JSON,
    AliasMove,
    Evidence,
    Publication,
    SolverSummary,
    SolverVersion,
    Target,
)
from .reference import (
    AliasReference,
    NameReference,
    StoredReference,
    VersionReference,
)
from .table import SolverTable


class SolverStore:
    """The store's door; see the module for its contract."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, url: str, timeout_s: float = 5.0) -> "SolverStore":
        """Open `sqlite:///path/to/file` or `postgresql://…`, made or migrated as needed.

        Several processes may open a new database at once. Raises StoreUnavailable, also for a URL
        that cannot be read and for a database that a newer fewstep wrote.
        """
        database = Database.open(url, timeout_s)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        self.database.close()

    def publish(
        self,
        name: str,
        table: SolverTable,
        *,
        source: Mapping[str, JSON],
        evidence: Sequence[Evidence] = (),
        target: Target | None = None,
    ) -> Publication:
        """Append a table under a name; a table that is there already only gains the evidence.

        source says where the table came from; it is kept with the version that the call makes.
        Raises InvalidReference for a malformed or reserved name, RecordError for a source or
        evidence that cannot be kept, NameMismatch when the name stands for something else.
        """
        with self.database.writing() as connection:
            return writes.publish(connection, name, table, source, evidence, target)

    def add_evidence(self, name: str, version: int, evidence: Sequence[Evidence]) -> SolverVersion:
        """Append evidence to a version. Raises VersionNotFound, RecordError."""
        with self.database.writing() as connection:
            writes.append_evidence(connection, queries.version(connection, name, version), evidence)
            return queries.version(connection, name, version)

    def promote(
        self,
        name: str,
        alias: str,
        version: int,
        *,
        expected: int | None,
        by: str,
        note: str = "",
    ) -> AliasMove:
        """Point an alias at a version, if it still points at the expected one.

        expected is None where the alias does not exist yet. by (a person, a job, "import") and note
        are kept with the move. An alias that is already there stays, and no move is written.
        Returns the move that made the alias point where it does.
        Raises VersionNotFound, InvalidReference, RecordError, and PromotionConflict, with the
        version that the alias points at, when that is not the expected one.
        """
        with self.database.writing() as connection:
            return writes.promote(
                connection, name, alias, version, expected=expected, by=by, note=note
            )

    def revision(self) -> int:
        """A number that grows with every change."""
        with self.database.reading() as connection:
            return queries.revision(connection)

    def get(self, name: str, version: int) -> SolverVersion:
        """Raises VersionNotFound, StoreDamaged."""
        with self.database.reading() as connection:
            return queries.version(connection, name, version)

    def by_alias(self, name: str, alias: str = CHAMPION) -> SolverVersion:
        """Raises VersionNotFound, StoreDamaged."""
        with self.database.reading() as connection:
            return queries.version_by_alias(connection, name, alias)

    def by_digest(self, digest: str) -> SolverVersion:
        """A version that holds the table of this digest, or of this beginning of one.

        Where several names hold the table, the first by name. Raises VersionNotFound, StoreDamaged,
        and InvalidReference for fewer than 12 digits or the beginning of several digests.
        """
        with self.database.reading() as connection:
            return queries.version_by_digest(connection, digest)

    def resolve(self, reference: StoredReference) -> SolverVersion:
        """The version that a parsed reference means; a plain name means its champion.

        Raises VersionNotFound, StoreDamaged, InvalidReference for an ambiguous digest.
        """
        match reference:
            case NameReference(name):
                return self.by_alias(name)
            case AliasReference(name, alias):
                return self.by_alias(name, alias)
            case VersionReference(name, version):
                return self.get(name, version)
        return self.by_digest(reference.digest)

    def champion(self, model: str, steps: int, guidance_scale: float) -> SolverVersion | None:
        """What `auto` follows: the champion for this model and NFE at the nearest guidance scale.

        Of two scales equally near, the lower. None where no name of that target has a champion.
        Raises StoreDamaged.
        """
        with self.database.reading() as connection:
            named = queries.champions(connection, model, steps)
            if not named:
                return None
            _, _, name = min((abs(scale - guidance_scale), scale, name) for scale, name in named)
            return queries.version_by_alias(connection, name, CHAMPION)

    def name_of(self, target: Target, steps: int) -> str:
        """The name that stands for a target at this NFE; where none does yet, the usual one."""
        with self.database.reading() as connection:
            known = queries.name_of_target(connection, target.model, steps, target.guidance_scale)
        return target.solver_name(steps) if known is None else known

    def solvers(self, model: str | None = None, steps: int | None = None) -> list[SolverSummary]:
        """All names in order, or those of one target model and one NFE.

        Raises InvalidReference for a malformed model.
        """
        with self.database.reading() as connection:
            return queries.summaries(connection, model=model, steps=steps)

    def solver(self, name: str) -> SolverSummary:
        """One name at a glance. Raises VersionNotFound, InvalidReference."""
        with self.database.reading() as connection:
            queries.require_name(connection, name)
            return queries.summaries(connection, name=name)[0]

    def versions(self, name: str) -> list[SolverVersion]:
        """All versions of a name, from 1 on. Raises VersionNotFound, StoreDamaged."""
        with self.database.reading() as connection:
            queries.require_name(connection, name)
            return queries.all_versions(connection, name)

    def aliases(self, name: str) -> dict[str, int]:
        """Where the aliases of a name point. Raises VersionNotFound."""
        with self.database.reading() as connection:
            queries.require_name(connection, name)
            return queries.aliases(connection, name).get(name, {})

    def alias_history(self, name: str, alias: str | None = None) -> list[AliasMove]:
        """Every move of a name's aliases, or of one, oldest first. Raises VersionNotFound."""
        with self.database.reading() as connection:
            queries.require_name(connection, name)
            return queries.moves(connection, name, alias)
