"""The published tables come in once; what people decide afterwards stays."""

from solver_store.importing import import_published
from solver_store.published import published_tables
from solver_store.records import CHAMPION
from solver_store.store import SolverStore
from tests.solver_store.builders import SOURCE, nothing_changes


def test_every_published_table_is_the_champion_of_its_name(store: SolverStore) -> None:
    assert import_published(store) == len(published_tables())
    for published in published_tables():
        version = store.by_alias(f"{published.family}-{published.steps}")
        assert (version.version, version.table) == (1, published.table)
        assert version.source["citation"] == published.source
        assert version.source["searched_on"] == published.searched_on


def test_a_second_start_changes_nothing(store: SolverStore) -> None:
    import_published(store)
    with nothing_changes(store):
        assert import_published(store) == 0


def test_a_promotion_and_a_roll_back_survive_a_restart(store: SolverStore) -> None:
    import_published(store)
    name, other = "flowdcn-b-256-5", "sit-xl-256-5"
    store.publish(name, store.get(other, 1).table, source=SOURCE)
    store.promote(name, CHAMPION, 2, expected=1, by="ada")
    import_published(store)
    assert store.aliases(name) == {CHAMPION: 2}
    store.promote(name, CHAMPION, 1, expected=2, by="ada")
    with nothing_changes(store):
        import_published(store)


def test_an_import_cut_off_between_publishing_and_promoting_is_completed(
    store: SolverStore,
) -> None:
    first = published_tables()[0]
    store.publish(first.name, first.table, source=SOURCE)
    assert import_published(store) == len(published_tables()) - 1
    assert store.aliases(first.name) == {CHAMPION: 1}
