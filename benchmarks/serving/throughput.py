"""Images per second of the saturated server, against the best offline loop over the same work."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median

from ..load import Sample
from ..load_process import Phase, check_answers, run_phases
from ..results import Result, Target
from ..summary import Summary
from . import servers
from .offline import OfflineSampler
from .work import Item, mixed_kinds, mixed_work, total_cost

ABOUT = (
    "Served: closed loop over HTTP (JSON answers), client in its own process on the same cores, "
    "measured in the steady window; images weighed by their network rows. Offline: the same "
    "images in one process, batched by (steps, guidance, solver) at the best batch size found by "
    "trial, PNG included. Rounds alternate; the ratio is that of the medians."
)
TARGETS = (Target("served_over_offline", ">=", 0.90),)


@dataclass(frozen=True)
class Plan:
    rounds: int
    per_kind: int  # images of each of the 102 kinds in a round
    concurrency: int
    seed: int = 1


FULL = Plan(rounds=3, per_kind=8, concurrency=64)
QUICK = Plan(rounds=1, per_kind=1, concurrency=64)


@dataclass(frozen=True)
class Rate:
    """How fast one round went."""

    images_per_s: float
    rows_per_s: float

    @classmethod
    def of_rows(cls, rows: int, seconds: float, rows_per_image: float) -> "Rate":
        """By network rows, so that it does not matter which images a window happens to hold."""
        return cls(rows / seconds / rows_per_image, rows / seconds)


def measure(quick: bool) -> Result:
    plan = QUICK if quick else FULL
    model = servers.bundled_model()
    work = mixed_work(len(model.card.classes), plan.per_kind, plan.seed)
    offline = OfflineSampler(model)
    best_rows, trials = offline.best_rows()
    served_rates, offline_rates, latencies = [], [], []
    with servers.fewstep() as server:
        for _ in range(plan.rounds):
            offline_rates.append(_offline_rate(offline, work, best_rows))
            rate, samples = _served_rate(server.port, work, plan)
            served_rates.append(rate)
            latencies += [sample.latency_s for sample in samples]
    return Result(
        name="serving-throughput",
        about=ABOUT,
        parameters=_parameters(plan, work, best_rows),
        figures=_figures(served_rates, offline_rates),
        samples={
            "served": [asdict(rate) for rate in served_rates],
            "offline": [asdict(rate) for rate in offline_rates],
            "served_latency_ms": Summary.of_seconds(latencies).as_dict(),
            "offline_rows_per_s_by_rows_per_batch": trials,
        },
        targets=TARGETS,
    )


def _offline_rate(offline: OfflineSampler, work: Sequence[Item], best_rows: dict[int, int]) -> Rate:
    seconds = offline.run(work, best_rows)
    return Rate.of_rows(total_cost(work), seconds, _rows_per_image(work))


def _served_rate(port: int, work: Sequence[Item], plan: Plan) -> tuple[Rate, list[Sample]]:
    """One round: a lead until the server is steady, the work, a tail that keeps it so."""
    lead = _cycled(work, 2 * plan.concurrency)
    items = [*lead, *work, *_cycled(work, plan.concurrency)]
    phase = Phase(port, servers.GENERATE, [item.body() for item in items], plan.concurrency)
    [samples] = run_phases([phase])
    check_answers(samples)
    seconds, counted = steady_window(samples, len(lead), len(work))
    rows = total_cost(items[sample.index] for sample in counted)
    return Rate.of_rows(rows, seconds, _rows_per_image(work)), counted


def steady_window(samples: Sequence[Sample], skip: int, count: int) -> tuple[float, list[Sample]]:
    """The `count` answers after the first `skip`, and the seconds in which they came.

    samples  in order of completion, at least skip + count
    """
    counted = list(samples[skip : skip + count])
    return counted[-1].done_at - samples[skip - 1].done_at, counted


def _cycled(items: Sequence[Item], count: int) -> list[Item]:
    return [items[n % len(items)] for n in range(count)]


def _rows_per_image(work: Sequence[Item]) -> float:
    return fmean(item.kind.cost for item in work)


def _figures(served: Sequence[Rate], offline: Sequence[Rate]) -> dict[str, float]:
    served_images_per_s = median(rate.images_per_s for rate in served)
    offline_images_per_s = median(rate.images_per_s for rate in offline)
    return {
        "served_over_offline": served_images_per_s / offline_images_per_s,
        "served_images_per_s": served_images_per_s,
        "offline_images_per_s": offline_images_per_s,
        "served_rows_per_s": median(rate.rows_per_s for rate in served),
        "offline_rows_per_s": median(rate.rows_per_s for rate in offline),
    }


def _parameters(plan: Plan, work: Sequence[Item], best_rows: dict[int, int]) -> dict[str, object]:
    return {
        **asdict(plan),
        "model": servers.MODEL,
        "images_per_round": len(work),
        "kinds": len(mixed_kinds()),
        "rows_per_image": _rows_per_image(work),
        "offline_rows_per_batch": {"unguided": best_rows[1], "guided": best_rows[2]},
    }
