"""The tables of the store's database.

    solvers            a name, and what it stands for
    └── solver_versions        its tables, 1, 2, 3 …
        ├── solver_evidence    how a version did on a model
        └── solver_alias_moves where an alias went; the last move is where it points
    store_revision     one row: a number that grows with every change of those above
    search_jobs        a search that was asked for, and how it stands
    ├── search_job_results     what it published, once for each step count
    └── search_job_events      what happened to it, 1, 2, 3 …

Rows of solvers are appended; only three things are ever updated: the revision, and the model and
guidance scale of a name that had none. The row of a search job is updated until the job has ended.

The same shape is written down step by step in migrations/versions; a test keeps the two equal.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, in UTC; SQLite forgets the time zone, so it is put back on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

solvers = Table(
    "solvers",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("schedule", String(32), nullable=False),
    Column("steps", Integer, nullable=False),
    Column("model", String(100)),
    Column("guidance_scale", Double),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("model", "steps", "guidance_scale"),
)

versions = Table(
    "solver_versions",
    metadata,
    Column("name", ForeignKey("solvers.name"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("table_json", Text, nullable=False),
    Column("source_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("name", "digest"),
    Index(None, "digest"),
)

evidence = Table(
    "solver_evidence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("version", Integer, nullable=False),
    Column("model", String(100), nullable=False),
    Column("model_digest", String(64), nullable=False),
    Column("steps", Integer, nullable=False),
    Column("guidance_scale", Double, nullable=False),
    Column("metrics_json", Text, nullable=False),
    Column("details_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(["name", "version"], ["solver_versions.name", "solver_versions.version"]),
    Index(None, "name", "version"),
)

alias_moves = Table(
    "solver_alias_moves",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("alias", String(32), nullable=False),
    Column("from_version", Integer),
    Column("to_version", Integer, nullable=False),
    Column("moved_by", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("moved_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(
        ["name", "to_version"], ["solver_versions.name", "solver_versions.version"]
    ),
    Index(None, "name", "alias"),
)

store_revision = Table(
    "store_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
)

search_jobs = Table(
    "search_jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("spec_json", Text, nullable=False),
    Column("idempotency_key", String(200), unique=True),
    Column("progress_json", Text, nullable=False),
    Column("furthest", Double, nullable=False),  # the largest fraction of any attempt
    Column("error", Text),
    Column("stop_requested", Boolean, nullable=False),
    # The lease of whoever works on it; see search_jobs/job_store.py.
    Column("token", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),  # since it last got further than ever before
    Column("holder", String(100)),
    Column("lease_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Index(None, "state"),
    Index(None, "created_at"),
)

search_job_results = Table(
    "search_job_results",
    metadata,
    Column("job_id", ForeignKey("search_jobs.id"), primary_key=True),
    Column("steps", Integer, primary_key=True, autoincrement=False),
    Column("result_json", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

search_job_events = Table(
    "search_job_events",
    metadata,
    Column("job_id", ForeignKey("search_jobs.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("data_json", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)
