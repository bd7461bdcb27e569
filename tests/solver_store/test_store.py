"""The store's contract; every test runs on SQLite and on PostgreSQL."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from solver_store.errors import (
    InvalidReference,
    NameMismatch,
    PromotionConflict,
    RecordError,
    VersionNotFound,
)
from solver_store.records import Target
from solver_store.reference import parse_reference
from solver_store.store import SolverStore
from tests.solver_store.builders import (
    GLYPHS,
    SOURCE,
    contents,
    euler,
    evidence,
    nothing_changes,
)

# Publishing


def test_a_version_is_read_back_as_it_was_published(store: SolverStore) -> None:
    source = {"kind": "search", "job": "01J", "seeds": [1, 2], "note": "λ → −∞"}
    before = datetime.now(UTC)
    made = store.publish("glyphs", euler(), source=source, evidence=[evidence()]).version
    assert made == store.get("glyphs", 1)
    assert (made.name, made.version, made.table) == ("glyphs", 1, euler())
    assert made.digest == euler().digest
    assert made.source == source
    assert made.evidence[0].says_the_same_as(evidence())
    assert before <= made.created_at <= datetime.now(UTC)
    assert made.created_at.utcoffset() == timedelta(0)


def test_versions_count_up_and_earlier_ones_never_change(store: SolverStore) -> None:
    first = store.publish("glyphs", euler(shade=0.3), source=SOURCE).version
    second = store.publish("glyphs", euler(shade=0.4), source={"kind": "other"}).version
    other = store.publish("letters", euler(shade=0.3), source=SOURCE).version
    assert [first.version, second.version, other.version] == [1, 2, 1]
    store.promote("glyphs", "champion", 2, expected=None, by="test")
    assert store.versions("glyphs") == [first, second]
    assert store.get("glyphs", 1) == first


def test_a_table_published_twice_keeps_its_version_and_gains_evidence(store: SolverStore) -> None:
    first = store.publish("glyphs", euler(), source=SOURCE, evidence=[evidence()])
    again = store.publish(
        "glyphs", euler(), source={"kind": "other"}, evidence=[evidence(model="letters")]
    )
    assert (first.is_new, again.is_new) == (True, False)
    assert again.version.version == 1
    assert again.version.source == SOURCE
    assert [entry.model for entry in again.version.evidence] == ["glyphs", "letters"]
    assert len(store.versions("glyphs")) == 1


def test_a_publication_may_be_repeated(store: SolverStore) -> None:
    store.publish("glyphs", euler(), source=SOURCE, evidence=[evidence()], target=GLYPHS)
    with nothing_changes(store):
        store.publish("glyphs", euler(), source=SOURCE, evidence=[evidence()], target=GLYPHS)


@pytest.mark.parametrize(
    "name", ["auto", "euler", "ab3-lambda", "unipc-3-bh1", "flowdcn-b-256", "A", "a@b", "a/1", ""]
)
def test_a_name_that_means_something_else_is_refused(store: SolverStore, name: str) -> None:
    with nothing_changes(store), pytest.raises(InvalidReference, match=r"name|taken"):
        store.publish(name, euler(), source=SOURCE)


def test_a_name_keeps_one_schedule_and_one_step_count(filled: SolverStore) -> None:
    name = GLYPHS.solver_name(2)
    with nothing_changes(filled):
        with pytest.raises(NameMismatch, match=r"holds tables of 2 steps .* this one has 3"):
            filled.publish(name, euler(nfe=3), source=SOURCE)
        with pytest.raises(NameMismatch, match="on vp"):
            filled.publish(name, euler(schedule="vp"), source=SOURCE)


def test_a_name_keeps_its_target_and_shares_it_with_no_other(filled: SolverStore) -> None:
    with nothing_changes(filled):
        with pytest.raises(NameMismatch, match="stands for glyphs at guidance"):
            filled.publish(GLYPHS.solver_name(2), euler(), source=SOURCE, target=Target("sit", 1.5))
        with pytest.raises(NameMismatch, match="at 2 steps has the name glyphs"):
            filled.publish("mine", euler(), source=SOURCE, target=GLYPHS)


def test_a_name_may_gain_its_target_later(store: SolverStore) -> None:
    store.publish("glyphs", euler(), source=SOURCE)
    assert store.solvers()[0].target is None
    store.publish("glyphs", euler(), source=SOURCE, target=GLYPHS)
    assert store.solvers()[0].target == GLYPHS


def test_a_target_is_found_by_the_name_that_was_given_to_it(store: SolverStore) -> None:
    assert store.name_of(GLYPHS, 2) == "glyphs-g1.5-2"
    store.publish("mine", euler(nfe=2), source=SOURCE, target=GLYPHS)
    assert store.name_of(GLYPHS, 2) == "mine"
    assert store.name_of(GLYPHS, 3) == "glyphs-g1.5-3"
    assert store.name_of(Target(GLYPHS.model, 2.0), 2) == "glyphs-g2-2"


@pytest.mark.parametrize(
    "source", [{"loss": float("nan")}, {"a": object()}, {"a": "\ud800"}, {"a": "x" * (1 << 20)}]
)
def test_a_source_that_is_not_json_is_refused(store: SolverStore, source: dict[str, Any]) -> None:
    with nothing_changes(store), pytest.raises(RecordError, match="source must"):
        store.publish("glyphs", euler(), source=source)


# Evidence


def test_evidence_is_appended_in_order_and_never_overwritten(store: SolverStore) -> None:
    store.publish("glyphs", euler(), source=SOURCE, evidence=[evidence()])
    better = evidence(metrics={"frechet_distance": 40.0})
    store.add_evidence("glyphs", 1, [better, evidence(guidance_scale=2)])
    distances = [
        (entry.guidance_scale, entry.metrics["frechet_distance"])
        for entry in store.get("glyphs", 1).evidence
    ]
    assert distances == [(1.5, 52.6), (1.5, 40.0), (2.0, 52.6)]


def test_evidence_that_says_nothing_new_is_not_written(store: SolverStore) -> None:
    store.publish("glyphs", euler(), source=SOURCE, evidence=[evidence()])
    with nothing_changes(store):
        store.add_evidence("glyphs", 1, [evidence(), evidence()])


def test_evidence_of_another_step_count_is_refused(store: SolverStore) -> None:
    with nothing_changes(store), pytest.raises(RecordError, match="evidence of 8 steps"):
        store.publish("glyphs", euler(), source=SOURCE, evidence=[evidence(steps=8)])


# Aliases


def test_an_alias_moves_only_from_where_it_is_expected(filled: SolverStore) -> None:
    name = GLYPHS.solver_name(2)
    for expected in (None, 1, 3):
        with nothing_changes(filled), pytest.raises(PromotionConflict) as refused:
            filled.promote(name, "champion", 3, expected=expected, by="test")
        assert refused.value.current == 2
    assert filled.promote(name, "champion", 3, expected=2, by="test").to_version == 3
    assert filled.aliases(name) == {"champion": 3, "faithful": 3}


def test_a_roll_back_is_a_move_and_every_move_is_kept(filled: SolverStore) -> None:
    name = GLYPHS.solver_name(2)
    filled.promote(name, "champion", 1, expected=2, by="ada", note="blurred fours")
    assert filled.by_alias(name).version == 1
    history = filled.alias_history(name, "champion")
    assert [(move.from_version, move.to_version) for move in history] == [(None, 1), (1, 2), (2, 1)]
    assert (history[-1].moved_by, history[-1].note) == ("ada", "blurred fours")
    assert [move.moved_at for move in history] == sorted(move.moved_at for move in history)
    assert len(filled.alias_history(name)) == 4


def test_promoting_what_is_promoted_writes_no_move(filled: SolverStore) -> None:
    with nothing_changes(filled):
        move = filled.promote(GLYPHS.solver_name(2), "champion", 2, expected=2, by="other")
    assert (move.moved_by, move.note) == ("test", "lower distance")


def test_an_alias_needs_a_version_to_point_at(filled: SolverStore) -> None:
    name = GLYPHS.solver_name(2)
    with nothing_changes(filled):
        for version in (0, 4, 10**30):
            with pytest.raises(VersionNotFound, match="has versions 1 to 3"):
                filled.promote(name, "champion", version, expected=2, by="test")
        with pytest.raises(InvalidReference, match="an alias is"):
            filled.promote(name, "3", 1, expected=None, by="test")
        with pytest.raises(RecordError, match="note must be text"):
            filled.promote(name, "champion", 1, expected=2, by="test", note="\0")


# Finding


@pytest.mark.parametrize(
    ("reference", "version"),
    [
        ("glyphs-g1.5-2", 2),
        ("glyphs-g1.5-2@champion", 2),
        ("glyphs-g1.5-2@faithful", 3),
        ("glyphs-g1.5-2/1", 1),
        (f"sha256:{euler(shade=0.3).digest}", 1),
        (f"sha256:{euler(shade=0.5).digest[:12]}", 3),
    ],
)
def test_every_form_of_reference_finds_its_version(
    filled: SolverStore, reference: str, version: int
) -> None:
    assert filled.resolve(parse_reference(reference)).version == version


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("nobody", "no solver is named 'nobody'"),
        ("nobody/1", "no solver is named 'nobody'"),
        ("glyphs-g1.5-2/4", "glyphs-g1.5-2 has versions 1 to 3, not 4"),
        ("glyphs-g1.5-2@best", "has no alias 'best'; it has champion, faithful"),
        ("sha256:0123456789ab", "no table has the digest 0123456789ab"),
    ],
)
def test_what_is_not_there_is_said(filled: SolverStore, reference: str, reason: str) -> None:
    with pytest.raises(VersionNotFound, match=reason):
        filled.resolve(parse_reference(reference))


def test_a_table_under_two_names_is_found_by_its_digest(filled: SolverStore) -> None:
    filled.publish("another", euler(shade=0.5), source=SOURCE)
    assert filled.by_digest(euler(shade=0.5).digest).name == "another"


def test_an_ambiguous_digest_is_refused(filled: SolverStore, tamper: Callable[[str], None]) -> None:
    tamper("UPDATE solver_versions SET digest = 'aaaaaaaaaaaa' || version")
    with pytest.raises(InvalidReference, match="several digests"):
        filled.by_digest("aaaaaaaaaaaa")


def test_the_champion_of_the_nearest_guidance_scale_is_followed(store: SolverStore) -> None:
    for scale in (1.0, 1.5, 4.0):
        target = Target("glyphs", scale)
        store.publish(target.solver_name(2), euler(), source=SOURCE, target=target)
        if scale != 1.5:
            store.promote(target.solver_name(2), "champion", 1, expected=None, by="test")

    def followed(model: str, steps: int, scale: float) -> str | None:
        champion = store.champion(model, steps, scale)
        return None if champion is None else champion.name

    assert followed("glyphs", 2, 1.0) == "glyphs-g1-2"
    assert followed("glyphs", 2, 1.5) == "glyphs-g1-2"  # g1.5 has no champion
    assert followed("glyphs", 2, 2.5) == "glyphs-g1-2"  # the lower of two as near
    assert followed("glyphs", 2, 2.6) == "glyphs-g4-2"
    assert followed("glyphs", 2, 50.0) == "glyphs-g4-2"
    assert followed("glyphs", 3, 1.0) is None
    assert followed("glyphs", 10**30, 1.0) is None
    assert followed("letters", 2, 1.0) is None


def test_summaries_list_names_with_their_targets_and_aliases(filled: SolverStore) -> None:
    filled.publish("letters", euler(nfe=3), source=SOURCE)
    glyphs, letters = filled.solvers()
    assert (glyphs.name, glyphs.schedule, glyphs.steps) == ("glyphs-g1.5-2", "rectified-flow", 2)
    assert (glyphs.target, glyphs.num_versions) == (GLYPHS, 3)
    assert glyphs.aliases == {"champion": 2, "faithful": 3}
    assert (letters.name, letters.target, letters.aliases) == ("letters", None, {})
    assert [filled.solver("glyphs-g1.5-2"), filled.solver("letters")] == [glyphs, letters]
    assert filled.solvers(model="glyphs") == [glyphs]
    assert filled.solvers(steps=3) == [letters]
    assert filled.solvers(model="glyphs", steps=3) == []
    assert filled.solvers(steps=10**30) == filled.solvers(steps=-(10**30)) == []


def test_a_malformed_name_is_refused_before_the_database_sees_it(store: SolverStore) -> None:
    for ask in (store.solver, store.versions, store.aliases, store.by_alias):
        with pytest.raises(InvalidReference):
            ask("a\0\ud800")
    with pytest.raises(InvalidReference):
        store.solvers(model="a\0")


# The revision


def test_the_revision_grows_with_every_change_and_only_then(store: SolverStore) -> None:
    last = store.revision()

    def change(*_: object) -> bool:
        nonlocal last
        last, before = store.revision(), last
        return last > before

    assert change(store.publish("glyphs", euler(shade=0.3), source=SOURCE))
    assert change(store.publish("glyphs", euler(shade=0.4), source=SOURCE))
    assert change(store.publish("glyphs", euler(shade=0.4), source=SOURCE, target=GLYPHS))
    assert change(store.add_evidence("glyphs", 2, [evidence()]))
    assert change(store.promote("glyphs", "champion", 1, expected=None, by="test"))
    assert not change(store.publish("glyphs", euler(shade=0.4), source=SOURCE))
    assert not change(store.promote("glyphs", "champion", 1, expected=1, by="test"))
    with pytest.raises(PromotionConflict):
        store.promote("glyphs", "champion", 2, expected=2, by="test")
    assert not change(contents(store))


def test_another_store_on_the_database_sees_the_change(
    store: SolverStore, database_url: str
) -> None:
    with closing(SolverStore.open(database_url)) as other:
        before = other.revision()
        made = store.publish("glyphs", euler(), source=SOURCE).version
        assert other.revision() > before
        assert other.get("glyphs", 1) == made
