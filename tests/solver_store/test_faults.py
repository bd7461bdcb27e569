"""Damage, locks, servers that are away: said in the store's own errors, and survived."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from solver_store.errors import StoreDamaged, StoreError, StoreUnavailable
from solver_store.store import SolverStore
from tests.servers.postgresql import PostgresServer
from tests.solver_store.builders import GLYPHS, SOURCE, euler, evidence, nothing_changes


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        ("UPDATE solver_versions SET table_json = replace(table_json, '0.15', '0.16')", "digest"),
        ("UPDATE solver_versions SET table_json = '{\"carry\": '", "cannot be read"),
        ("UPDATE solver_versions SET table_json = '[]'", "cannot be read"),
        ("UPDATE solver_versions SET source_json = ''", "cannot be read"),
        ("UPDATE solver_evidence SET metrics_json = '{\"x\": NaN}'", "must be finite"),
    ],
)
def test_a_damaged_version_is_refused_and_others_stay_readable(
    store: SolverStore, tamper: Callable[[str], None], damage: str, reason: str
) -> None:
    store.publish("glyphs", euler(shade=0.3), source=SOURCE, evidence=[evidence()])
    whole = store.publish("glyphs", euler(shade=0.4), source=SOURCE, evidence=[evidence()]).version
    tamper(f"{damage} WHERE version = 1")
    with pytest.raises(StoreDamaged, match=f"glyphs/1.*{reason}"):
        store.get("glyphs", 1)
    assert store.get("glyphs", 2) == whole
    assert store.solvers()[0].num_versions == 2


def test_a_version_that_is_gone_is_damage(
    filled: SolverStore, tamper: Callable[[str], None]
) -> None:
    tamper("DELETE FROM solver_alias_moves")
    tamper("DELETE FROM solver_versions WHERE version = 2")
    with pytest.raises(StoreDamaged, match="/2 is missing"):
        filled.get(GLYPHS.solver_name(2), 2)


def test_a_locked_database_is_unavailable_and_nothing_changes(
    filled: SolverStore,
    database_url: str,
    locked: Callable[[], AbstractContextManager[None]],
) -> None:
    name = GLYPHS.solver_name(2)
    with closing(SolverStore.open(database_url, timeout_s=0.05)) as hurried:
        with nothing_changes(filled), locked():
            with pytest.raises(StoreUnavailable, match="lock"):
                hurried.publish(name, euler(shade=0.6), source=SOURCE)
            with pytest.raises(StoreUnavailable, match="lock"):
                hurried.promote(name, "champion", 1, expected=2, by="test")
        assert hurried.publish(name, euler(shade=0.6), source=SOURCE).version.version == 4


def test_a_full_disk_is_unavailable_and_nothing_changes(tmp_path: Path) -> None:
    with closing(SolverStore.open(f"sqlite:///{tmp_path}/store.db")) as store:
        store.publish("glyphs", euler(shade=0.3), source=SOURCE)
        with store.database.writing() as connection:  # the pool will hand out this connection again
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with nothing_changes(store), pytest.raises(StoreUnavailable, match="disk is full"):
            store.publish("glyphs", euler(shade=0.4), source={"kind": "x" * 100_000})


def test_a_missing_table_is_an_error_of_ours(new_url: Callable[[], str]) -> None:
    url = new_url()
    with closing(SolverStore.open(url)) as store:
        with store.database.writing() as connection:
            connection.exec_driver_sql("DROP TABLE store_revision")
        with pytest.raises(StoreError, match="store_revision"):
            store.revision()


def test_a_database_of_a_newer_program_is_refused(new_url: Callable[[], str]) -> None:
    url = new_url()
    with (
        closing(SolverStore.open(url)) as store,
        store.database.writing() as connection,
    ):
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnavailable, match="newer version of fewstep"):
        SolverStore.open(url)


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"no database " * 400)
    with pytest.raises(StoreDamaged, match="not a database"):
        SolverStore.open(f"sqlite:///{path}")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("not a url", "cannot be read"),
        ("mysql://localhost/x", "sqlite or postgresql, got mysql"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:////proc/none/store.db", "/proc/none"),
        ("postgresql://ada:secret@127.0.0.1:1/none", "Connection refused"),
    ],
)
def test_a_database_that_cannot_be_opened_is_unavailable(url: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason) as refused:
        SolverStore.open(url)
    assert "secret" not in str(refused.value)


def test_a_folder_that_is_a_file_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="file"):
        SolverStore.open(f"sqlite:///{tmp_path}/file/store.db")


@pytest.mark.postgresql
def test_a_restarted_server_costs_nobody_an_error(postgresql_server: PostgresServer) -> None:
    with closing(SolverStore.open(postgresql_server.create_database())) as store:
        cut_off = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database()"
        )
        with (
            pytest.raises(StoreUnavailable, match="terminating connection"),
            store.database.writing() as connection,
        ):
            connection.exec_driver_sql(cut_off)
        assert store.revision() == 0
