"""Whether what was found becomes `champion` or `faithful`: pure decisions on measurements.

champion   lower Fréchet distance than every rival by more than the noise of the paired difference,
           or equal within it and a lower endpoint error; and the class accuracy is not below the
           interval of what `auto` serves today. Where a model has no judge, the endpoint error
           alone decides.
faithful   lower endpoint error than every rival by more than the noise.

All measurements come from the same noises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from solver_store.records import CHAMPION, FAITHFUL, JSON

from .evaluate import Measurement, Metric

WORDS = {
    Metric.FRECHET_DISTANCE: "Fréchet distance",
    Metric.ENDPOINT_RMSE: "endpoint error",
    Metric.CLASS_ACCURACY: "class accuracy",
}


class Outcome(StrEnum):
    """Of a candidate beside a rival."""

    BETTER = "better"
    EQUAL = "equal"  # within the noise
    WORSE = "worse"


@dataclass(frozen=True)
class Comparison:
    """One figure of the candidate beside a rival's."""

    rival: str
    metric: Metric
    candidate_value: float
    rival_value: float
    margin: float  # of the difference, 95 %, paired over the groups of seeds

    @property
    def outcome(self) -> Outcome:
        gain = self.candidate_value - self.rival_value
        if self.metric.lower_is_better:
            gain = -gain
        if gain > self.margin:
            return Outcome.BETTER
        return Outcome.WORSE if gain < -self.margin else Outcome.EQUAL

    @property
    def sentence(self) -> str:
        """its Fréchet distance is 45.1, that of ab2 48.3 (difference -3.2 ± 1.1)"""
        difference = self.candidate_value - self.rival_value
        return (
            f"its {WORDS[self.metric]} is {self.candidate_value:.4g}, that of {self.rival} "
            f"{self.rival_value:.4g} (difference {difference:+.2g} ± {self.margin:.2g})"
        )

    def as_dict(self) -> dict[str, JSON]:
        return {
            "rival": self.rival,
            "metric": self.metric.value,
            "candidate": self.candidate_value,
            "of_rival": self.rival_value,
            "margin_95": self.margin,
            "outcome": self.outcome.value,
        }


@dataclass(frozen=True)
class Decision:
    """Whether an alias is to move to the candidate, and why."""

    alias: str
    promote: bool
    sentence: str
    comparisons: tuple[Comparison, ...]

    def as_dict(self) -> dict[str, JSON]:
        return {
            "alias": self.alias,
            "promote": self.promote,
            "why": self.sentence,
            "comparisons": [comparison.as_dict() for comparison in self.comparisons],
        }


def decide_champion(
    candidate: Measurement, rivals: Mapping[str, Measurement], served: str
) -> Decision:
    """Whether `auto` should serve the candidate.

    rivals  by name; one whose samples are not finite is beaten by any that is sound
    served  the rival that `auto` serves today
    """
    if candidate.digest == rivals[served].digest:
        return _refused(CHAMPION, f"it is the same table as {served}, which is served already")
    if candidate.num_broken:
        return _refused(CHAMPION, _broken(candidate))
    decider = Metric.FRECHET_DISTANCE
    if decider not in candidate.estimates:
        decider = Metric.ENDPOINT_RMSE
    matches = [_match(candidate, name, rival, decider) for name, rival in _sound(rivals)]
    if not rivals[served].num_broken and Metric.CLASS_ACCURACY in candidate.estimates:
        matches.append(_accuracy_match(candidate, served, rivals[served]))
    return _decision(CHAMPION, matches)


def decide_faithful(candidate: Measurement, rivals: Mapping[str, Measurement]) -> Decision:
    """Whether the candidate is the closest to the converged solution."""
    if candidate.num_broken:
        return _refused(FAITHFUL, _broken(candidate))
    decider = Metric.ENDPOINT_RMSE
    return _decision(
        FAITHFUL, [_match(candidate, name, rival, decider) for name, rival in _sound(rivals)]
    )


@dataclass(frozen=True)
class _Match:
    """What was looked at beside one rival: a second figure where the first is equal."""

    comparisons: tuple[Comparison, ...]
    is_won: bool

    @property
    def sentence(self) -> str:
        return ", equal within the noise, and ".join(c.sentence for c in self.comparisons)

    @property
    def metric(self) -> Metric:
        return self.comparisons[0].metric

    @property
    def order(self) -> tuple[bool, float]:
        """Strongest rivals first, accuracies last."""
        return self.metric is Metric.CLASS_ACCURACY, self.comparisons[0].rival_value


def _match(candidate: Measurement, name: str, rival: Measurement, decider: Metric) -> _Match:
    first = _comparison(candidate, name, rival, decider)
    if first.outcome is not Outcome.EQUAL or decider is Metric.ENDPOINT_RMSE:
        return _Match((first,), first.outcome is Outcome.BETTER)
    second = _comparison(candidate, name, rival, Metric.ENDPOINT_RMSE)
    return _Match((first, second), second.outcome is Outcome.BETTER)


def _comparison(
    candidate: Measurement, name: str, rival: Measurement, metric: Metric
) -> Comparison:
    a, b = candidate.estimates[metric], rival.estimates[metric]
    return Comparison(name, metric, a.value, b.value, (a - b).margin)


def _accuracy_match(candidate: Measurement, name: str, rival: Measurement) -> _Match:
    """Lost where the accuracy is below the interval of the rival's."""
    metric = Metric.CLASS_ACCURACY
    value = rival.estimates[metric].value
    margin = value - rival.interval(metric)[0]
    comparison = Comparison(name, metric, candidate.estimates[metric].value, value, margin)
    return _Match((comparison,), comparison.outcome is not Outcome.WORSE)


def _decision(alias: str, matches: Sequence[_Match]) -> Decision:
    """Every match must be won. The sentence tells of the strongest rival that was in the way."""
    comparisons = tuple(c for match in matches for c in match.comparisons)
    lost = [match for match in matches if not match.is_won]
    if not matches:
        return Decision(alias, True, f"{alias.capitalize()}: no rival gave finite samples.", ())
    if lost:
        sentence = f"Not {alias}: {min(lost, key=lambda m: m.order).sentence}."
        return Decision(alias, False, sentence, comparisons)
    num_rivals = sum(match.metric is not Metric.CLASS_ACCURACY for match in matches)
    strongest = min(matches, key=lambda m: m.order).sentence
    of_how_many = "the only rival" if num_rivals == 1 else f"the strongest of {num_rivals} rivals"
    sentence = f"{alias.capitalize()}: {strongest}; {of_how_many}."
    return Decision(alias, True, sentence, comparisons)


def _sound(rivals: Mapping[str, Measurement]) -> list[tuple[str, Measurement]]:
    return [(name, rival) for name, rival in rivals.items() if not rival.num_broken]


def _broken(candidate: Measurement) -> str:
    return f"{candidate.num_broken} of its samples are not finite"


def _refused(alias: str, why: str) -> Decision:
    return Decision(alias, False, f"Not {alias}: {why}.", ())
