"""What a solver reference means for a request, on a real store."""

from collections.abc import Iterator

import pytest

from diffusion_core.card import ModelCard
from diffusion_core.classic import classical_table
from diffusion_core.errors import TableMismatch
from diffusion_core.select import SolverSelector
from solver_store.errors import InvalidReference, VersionNotFound
from solver_store.importing import import_published
from solver_store.records import Target
from solver_store.store import SolverStore
from solver_store.table import SolverTable
from tests.fakes import write_tiny_model


@pytest.fixture
def card(tmp_path) -> ModelCard:
    return write_tiny_model(tmp_path / "models").card


@pytest.fixture
def store(tmp_path) -> Iterator[SolverStore]:
    store = SolverStore.open(f"sqlite:///{tmp_path / 'store.db'}")
    yield store
    store.close()


@pytest.fixture
def selector(store) -> SolverSelector:
    return SolverSelector(store)


def table(steps: int, times: str = "") -> SolverTable:
    return classical_table(f"ab2{times}", "rectified-flow", steps)


def publish_champion(store: SolverStore, guidance_scale: float, solver: SolverTable) -> str:
    target = Target("tiny", guidance_scale)
    name = target.solver_name(solver.nfe)
    store.publish(name, solver, source={}, target=target)
    store.promote(name, "champion", 1, expected=None, by="test")
    return name


def test_a_classical_solver_is_there_at_every_step_count(selector, card) -> None:
    for steps in (1, 7, 256):
        selected = selector.select("dpmpp-2m", card, steps, 1.5)
        assert (selected.name, selected.version) == ("dpmpp-2m", None)
        assert selected.digest == classical_table("dpmpp-2m", "rectified-flow", steps).digest
        assert selected.program.steps == steps


def test_auto_follows_the_champion_of_the_nearest_guidance_scale(store, selector, card) -> None:
    near = publish_champion(store, 1.5, table(6))
    publish_champion(store, 4.0, table(6, "-lambda"))
    selected = selector.select("auto", card, 6, guidance_scale=2.0)
    assert (selected.name, selected.version) == (near, 1)
    assert selected.digest == table(6).digest


def test_auto_without_a_champion_takes_the_published_family_of_the_schedule(
    store, selector, card
) -> None:
    import_published(store)
    assert selector.select("auto", card, 8, 1.5).name == "flowdcn-b-256-8"


def test_auto_passes_over_a_champion_of_a_former_model_of_that_name(store, selector, card) -> None:
    publish_champion(store, 1.5, table(6))
    other = card.model_copy(update={"schedule": "ddpm", "default_solver": "dpmpp-2m"})
    assert selector.select("auto", other, 6, 1.5).name == "dpmpp-2m"


@pytest.mark.parametrize(
    ("families", "chosen"),
    [
        (("sit-xl-256",), "sit-xl-256-8"),
        (("nonesuch", "flowdcn-b-256"), "flowdcn-b-256-8"),
        (("dit-xl-256", "flowdcn-b-256"), "flowdcn-b-256-8"),  # the first is for another schedule
        (("mine",), "ab2"),
        ((), "ab2"),
    ],
)
def test_a_card_knows_better_than_the_schedule_which_family_to_take(
    store, selector, card, families, chosen
) -> None:
    import_published(store)
    store.publish("mine-8", table(6), source={})  # a name that says what it is not
    store.promote("mine-8", "champion", 1, expected=None, by="test")
    measured = card.model_copy(update={"published_families": families})
    assert selector.select("auto", measured, 8, 1.5).name == chosen


def test_auto_without_champion_and_family_takes_the_best_classical_solver(
    store, selector, card
) -> None:
    import_published(store)
    assert selector.select("auto", card, 12, 1.5).name == card.default_solver


@pytest.mark.parametrize(
    ("changes", "chosen"),
    [
        ({"published_families": ("sit-xl-256",)}, "sit-xl-256-8"),
        ({"published_families": (), "default_solver": "euler"}, "euler"),
        ({"published_families": (), "schedule": "vp", "default_solver": "ddim"}, "ddim"),
    ],
)
def test_another_card_under_a_known_name_has_answers_of_its_own(
    store, selector, card, changes, chosen
) -> None:
    import_published(store)
    assert selector.select("auto", card, 8, 1.5).name == "flowdcn-b-256-8"
    other = card.model_copy(update=changes)
    assert selector.cached("auto", other, 8, 1.5) is None
    assert selector.select("auto", other, 8, 1.5).name == chosen
    assert selector.select("auto", card, 8, 1.5).name == "flowdcn-b-256-8"


def test_a_family_takes_the_step_count_of_the_request(store, selector, card) -> None:
    import_published(store)
    assert selector.select("flowdcn-b-256", card, 10, 1.5).name == "flowdcn-b-256-10"
    with pytest.raises(TableMismatch, match="5, 6, 7, 8, 9, 10, 15 steps, the request asks for 4"):
        selector.select("flowdcn-b-256", card, 4, 1.5)


def test_names_aliases_versions_and_digests_select_what_they_name(store, selector, card) -> None:
    name = publish_champion(store, 1.5, table(6))
    store.publish(name, table(6, "-lambda"), source={})
    store.promote(name, "faithful", 2, expected=None, by="test")
    first, second = table(6).digest, table(6, "-lambda").digest
    for reference, digest in [
        (name, first),
        (f"{name}@champion", first),
        (f"{name}@faithful", second),
        (f"{name}/2", second),
        (f"sha256:{second}", second),
        (f"sha256:{second[:16]}", second),
    ]:
        assert selector.select(reference, card, 6, 1.5).digest == digest


def test_a_table_of_another_step_count_or_schedule_is_refused(store, selector, card) -> None:
    import_published(store)
    name = publish_champion(store, 1.5, table(6))
    with pytest.raises(TableMismatch, match="takes 6 steps, the request asks for 7"):
        selector.select(name, card, 7, 1.5)
    with pytest.raises(TableMismatch, match="cannot drive a model of schedule rectified-flow"):
        selector.select("dit-xl-256", card, 6, 1.5)


@pytest.mark.parametrize("unknown", ["nobody", "nobody@champion", "nobody/1", f"sha256:{'0' * 64}"])
def test_what_nobody_published_is_not_found(store, selector, card, unknown) -> None:
    with pytest.raises(VersionNotFound):
        selector.select(unknown, card, 6, 1.5)


@pytest.mark.parametrize("reference", ["ab2@champion", "ab2/1"])
def test_a_classical_solver_has_neither_versions_nor_aliases(selector, card, reference) -> None:
    with pytest.raises(VersionNotFound, match="ab2 is classical: it has no versions"):
        selector.select(reference, card, 6, 1.5)


def test_a_reference_that_cannot_be_read_is_refused(selector, card) -> None:
    with pytest.raises(InvalidReference):
        selector.select("Euler!", card, 6, 1.5)


def test_answers_are_kept_until_the_store_changes(store, selector, card) -> None:
    name = publish_champion(store, 1.5, table(6))
    selector.refresh()
    assert selector.cached("auto", card, 6, 1.5) is None
    before = selector.select("auto", card, 6, 1.5)
    assert selector.cached("auto", card, 6, 1.5) is before
    assert not selector.refresh()

    store.publish(name, table(6, "-lambda"), source={})
    store.promote(name, "champion", 2, expected=1, by="test")
    assert selector.cached("auto", card, 6, 1.5) is before  # until the change is noticed
    assert selector.refresh()
    assert selector.select("auto", card, 6, 1.5).version == 2


def test_a_rolled_back_champion_is_served_again(store, selector, card) -> None:
    name = publish_champion(store, 1.5, table(6))
    store.publish(name, table(6, "-lambda"), source={})
    store.promote(name, "champion", 2, expected=1, by="test")
    store.promote(name, "champion", 1, expected=2, by="test")
    assert selector.select("auto", card, 6, 1.5).version == 1


def test_one_table_is_compiled_once(store, selector, card) -> None:
    name = publish_champion(store, 1.5, table(6))
    by_name = selector.select(name, card, 6, 1.5)
    by_digest = selector.select(f"sha256:{table(6).digest}", card, 6, 3.0)
    assert by_name.program is by_digest.program
