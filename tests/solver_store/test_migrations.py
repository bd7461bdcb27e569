"""The database that the migrations make is the one that schema.py describes."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from solver_store import schema
from solver_store.migrations import migrate
from solver_store.store import SolverStore
from tests.solver_store.builders import nothing_changes


def test_the_migrations_make_the_schema(store: SolverStore) -> None:
    with store.database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


def test_migrating_again_changes_nothing(filled: SolverStore) -> None:
    with nothing_changes(filled):
        migrate(filled.database)
