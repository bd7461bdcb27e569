"""Every way in which a decision can fall."""

import json
from itertools import product

import pytest

from diffusion_core.quality import Estimate
from search_jobs.evaluate import Measurement, Metric
from search_jobs.promotion import Decision, decide_champion, decide_faithful

NUM_GROUPS = 20
SWAY = 0.5  # what the figures of every table share when a group is left out
OWN = 0.02  # what is a table's own


def estimate(value: float, own: float = 0.0) -> Estimate:
    """All tables sway together; `own` alternates, and is what remains in a difference."""
    return Estimate(
        value,
        tuple(value + SWAY * (g - 9.5) / NUM_GROUPS + own * (-1) ** g for g in range(NUM_GROUPS)),
    )


def measured(
    digest: str,
    distance: float | None = 50.0,
    rmse: float = 0.03,
    accuracy: float = 0.95,
    broken: int = 0,
    own: float = 0.0,
) -> Measurement:
    estimates = {Metric.ENDPOINT_RMSE: estimate(rmse, own / 1000)}
    if distance is not None:
        estimates[Metric.FRECHET_DISTANCE] = estimate(distance, own)
        estimates[Metric.CLASS_ACCURACY] = estimate(accuracy)
    return Measurement(digest, 6, 720, 180, broken, {} if broken else estimates)


def noisy(distance: float, rmse: float, accuracy: float = 0.95) -> Measurement:
    """Its difference from the others is known to about 0.2."""
    return measured("new", distance, rmse, accuracy, own=OWN)


SERVED = measured("served")
RIVALS = {"glyphs/1": SERVED, "ab2": measured("ab2", 60.0, 0.04)}


def champion(candidate: Measurement, rivals=RIVALS, served: str = "glyphs/1") -> Decision:
    return decide_champion(candidate, rivals, served)


def margin() -> float:
    (first, *_) = champion(noisy(50.0, 0.03)).comparisons
    return first.margin


def test_the_margin_is_that_of_the_difference_not_of_the_figures() -> None:
    assert 0 < margin() < 0.5 * SERVED.estimates[Metric.FRECHET_DISTANCE].margin


@pytest.mark.parametrize(
    ("distance", "rmse", "accuracy", "promoted"),
    [
        (50 - 1.1, 0.03, 0.95, True),  # better by more than the noise
        (50 - 1.1, 0.06, 0.95, True),  # … whatever the endpoint error
        (50 - 0.9, 0.03, 0.95, False),  # equal, and no nearer to the converged solution
        (50 - 0.9, 0.029, 0.95, True),  # equal, and nearer
        (50 + 0.9, 0.029, 0.95, True),  # … equal on the other side, too
        (50 - 0.9, 0.031, 0.95, False),  # equal, and farther
        (50 + 1.1, 0.001, 0.95, False),  # worse by more than the noise
        (50 - 30, 0.03, 0.94, True),  # less accurate within the interval of 0.95 of 720 samples
        (50 - 30, 0.03, 0.92, False),  # … and below it
        (50 - 30, 0.03, 1.00, True),
    ],
)
def test_the_champion_is_who_wins_by_more_than_the_noise(
    distance: float, rmse: float, accuracy: float, promoted: bool
) -> None:
    """Differences from the served one are given in margins, but for the endpoint error."""
    distance = 50 + (distance - 50) * margin()
    assert champion(noisy(distance, rmse, accuracy)).promote is promoted


def test_one_rival_that_is_not_beaten_is_enough_to_refuse() -> None:
    strong = RIVALS | {"sit-xl": measured("sit", 40.0)}
    decision = champion(noisy(45.0, 0.01), strong)
    assert not decision.promote
    assert decision.sentence == (
        "Not champion: its Fréchet distance is 45, that of sit-xl 40 "
        f"(difference +5 ± {margin():.2g})."
    )


def test_the_sentence_of_a_promotion_names_the_strongest_rival() -> None:
    decision = champion(noisy(45.0, 0.03))
    assert decision.promote
    assert decision.sentence == (
        "Champion: its Fréchet distance is 45, that of glyphs/1 50 "
        f"(difference -5 ± {margin():.2g}); the strongest of 2 rivals."
    )


def test_the_sentence_of_a_tie_tells_both_figures() -> None:
    won, lost = champion(noisy(50.0, 0.01)), champion(noisy(50.0, 0.05))
    tie = "equal within the noise, and its endpoint error is"
    assert f"{tie} 0.01, that of glyphs/1 0.03" in won.sentence
    assert f"{tie} 0.05, that of glyphs/1 0.03" in lost.sentence


def test_the_sentence_of_a_lost_accuracy_says_so() -> None:
    decision = champion(noisy(20.0, 0.01, accuracy=0.5))
    assert decision.sentence.startswith(
        "Not champion: its class accuracy is 0.5, that of glyphs/1 0.95"
    )


def test_only_the_accuracy_of_what_is_served_counts() -> None:
    """Euler's blurred pictures may read better than all others, at twice the distance."""
    rivals = RIVALS | {"euler": measured("euler", 120.0, accuracy=1.0)}
    assert champion(noisy(45.0, 0.03, accuracy=0.95), rivals).promote


def test_the_same_table_again_changes_nothing() -> None:
    decision = champion(measured("served"))
    assert not decision.promote
    assert "the same table as glyphs/1" in decision.sentence
    assert not champion(measured("ab2", 60.0, 0.04)).promote  # nor a rival's table


@pytest.mark.parametrize("decide", [champion, lambda c: decide_faithful(c, RIVALS)])
def test_broken_samples_are_never_promoted(decide) -> None:
    decision = decide(measured("new", broken=3))
    assert not decision.promote
    assert "3 of its samples are not finite" in decision.sentence


@pytest.mark.parametrize("served", ["glyphs/1", "heun"])
def test_a_broken_rival_is_no_obstacle(served: str) -> None:
    rivals = {"glyphs/1": SERVED, "heun": measured("heun", broken=5)}
    assert champion(noisy(45.0, 0.03), rivals, served).promote
    assert not champion(noisy(55.0, 0.03), rivals, served).promote
    assert decide_faithful(noisy(55.0, 0.01), rivals).promote


def test_where_all_rivals_are_broken_a_sound_candidate_wins() -> None:
    rivals = {"heun": measured("heun", broken=5)}
    assert champion(noisy(45.0, 0.03), rivals, "heun").promote
    assert decide_faithful(noisy(45.0, 0.03), rivals).promote


def test_without_a_judge_the_endpoint_error_decides() -> None:
    rivals = {"glyphs/1": measured("served", None), "ab2": measured("ab2", None, 0.04)}
    for rmse, promoted in ((0.02, True), (0.03, False), (0.035, False)):
        assert champion(measured("new", None, rmse), rivals).promote is promoted


@pytest.mark.parametrize(
    ("rmse", "promoted"), [(0.029, True), (0.03, False), (0.031, False), (0.045, False)]
)
def test_the_faithful_one_is_nearest_to_the_converged_solution(rmse: float, promoted: bool) -> None:
    decision = decide_faithful(noisy(500.0, rmse, accuracy=0.0), RIVALS)
    assert decision.promote is promoted
    assert decision.alias == "faithful"
    assert decision.sentence.startswith("Faithful: " if promoted else "Not faithful: ")


def test_a_better_endpoint_error_within_the_noise_is_not_better() -> None:
    assert not decide_faithful(noisy(50.0, 0.03 - 1e-5), RIVALS).promote


def test_two_candidates_never_beat_each_other() -> None:
    """Else the alias would move to and fro, at every job."""
    figures = (49.0, 49.9, 50.0, 50.1, 51.0)
    errors = (0.02, 0.0299, 0.03, 0.0301, 0.04)
    tables = [
        measured(f"{d}{e}", d, e, own=OWN * (-1) ** n)
        for n, (d, e) in enumerate(product(figures, errors))
    ]
    for a, b in product(tables, tables):
        there = decide_champion(a, {"b": b}, "b").promote
        back = decide_champion(b, {"a": a}, "a").promote
        assert not (there and back)


def test_figures_go_with_the_decision_as_json() -> None:
    told = json.loads(json.dumps(champion(noisy(45.0, 0.03)).as_dict()))
    assert (told["alias"], told["promote"]) == ("champion", True)
    first = told["comparisons"][0]
    assert (first["rival"], first["metric"], first["outcome"]) == (
        "glyphs/1",
        "frechet_distance",
        "better",
    )
    assert {c["metric"] for c in told["comparisons"]} == {"frechet_distance", "class_accuracy"}
