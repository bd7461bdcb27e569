"""How long short requests wait while long ones fill the server: ours against static batching."""

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from service.engine.warm_up import best_row_count

from ..load import Sample, poisson_arrivals
from ..load_process import Phase, check_answers, run_phases
from ..processes import Server
from ..results import Result, Target
from ..summary import Summary
from . import servers
from .throughput import steady_window
from .work import Item, Kind, draw, total_cost

ABOUT = (
    "The same Poisson arrivals of 4-step and 50-step requests (guided, euler) at 80 % of the "
    "static server's measured capacity, sent to ours and to LitServe around a whole-batch "
    "pipeline (same network, weights, threads and row limit, at the batch size of its highest "
    "capacity). Latency counts from the arrival. Rounds alternate."
)
TARGETS = (Target("short_p99_ratio", "<=", 1 / 3),)
SHORT_STEPS, LONG_STEPS = 4, 50


@dataclass(frozen=True)
class Plan:
    rounds: int
    duration_s: float  # of each round on each server
    capacity_images: int  # in the trial of each batch size
    short_share: float = 0.75  # of the requests; the long ones still are 4/5 of the work
    offered: float = 0.8  # of the static server's capacity
    seed: int = 4


FULL = Plan(rounds=2, duration_s=150.0, capacity_images=96)
QUICK = Plan(rounds=1, duration_s=12.0, capacity_images=16)

StartServer = Callable[[], AbstractContextManager[Server]]


@dataclass(frozen=True)
class Contender:
    """A server and where it takes requests."""

    name: str
    path: str
    start: StartServer


@dataclass(frozen=True)
class Trace:
    """What arrives when."""

    items: Sequence[Item]
    arrivals_s: Sequence[float]


def measure(quick: bool) -> Result:
    plan = QUICK if quick else FULL
    model = servers.bundled_model()
    row_limit = best_row_count(model)
    capacities = {
        size: _capacity(size, plan) for size in batch_sizes(row_limit, _kind(SHORT_STEPS).rows)
    }
    best_size = max(capacities, key=capacities.__getitem__)
    rate = plan.offered * capacities[best_size]
    contenders = (
        Contender("ours", servers.GENERATE, lambda: servers.fewstep(row_limit)),
        Contender("static", servers.PREDICT, lambda: servers.static_batching(best_size)),
    )
    rounds = [_round(contenders, _trace(rate, plan, n)) for n in range(plan.rounds)]
    return Result(
        name="serving-head-of-line",
        about=ABOUT,
        parameters={
            **asdict(plan),
            "steps": [SHORT_STEPS, LONG_STEPS],
            "guidance_scale": _kind(SHORT_STEPS).guidance_scale,
            "row_limit": row_limit,
            "static_images_per_batch": best_size,
            "offered_images_per_s": rate,
        },
        figures=_figures(rounds),
        samples={"static_images_per_s_by_batch": capacities, "rounds": _summaries(rounds)},
        targets=TARGETS,
    )


Latencies = dict[str, dict[int, list[float]]]  # of one round: by contender and steps, seconds


def batch_sizes(row_limit: int, rows_per_image: int) -> list[int]:
    """Powers of two that fit into the row limit, at least 1."""
    most = max(1, row_limit // rows_per_image)
    return [2**n for n in range(most.bit_length())]


def _kind(steps: int) -> Kind:
    return Kind(steps, servers.bundled_card().default_guidance_scale, "euler")


def _capacity(images_per_batch: int, plan: Plan) -> float:
    """Images a second of the saturated static server, weighed by their network rows."""
    size = images_per_batch
    items = _mix(plan.capacity_images, plan, random.Random(plan.seed))
    lead, tail = items[: 2 * size], items[: 4 * size]
    sent = [*lead, *items, *tail]
    bodies = [item.body() for item in sent]
    with servers.static_batching(size) as server:
        [samples] = run_phases([Phase(server.port, servers.PREDICT, bodies, 4 * size)])
    check_answers(samples)
    seconds, counted = steady_window(samples, len(lead), len(items))
    rows = total_cost(sent[sample.index] for sample in counted)
    return rows / seconds / fmean(item.kind.cost for item in items)


def _mix(count: int, plan: Plan, chance: random.Random) -> list[Item]:
    """Both kinds in their exact shares, in random order."""
    num_short = int(plan.short_share * count)
    steps = [SHORT_STEPS] * num_short + [LONG_STEPS] * (count - num_short)
    chance.shuffle(steps)
    num_classes = len(servers.bundled_card().classes)
    return [draw(_kind(steps_of_one), num_classes, chance) for steps_of_one in steps]


def _trace(rate: float, plan: Plan, number: int) -> Trace:
    """Every round has a trace of its own; all contenders get the same."""
    chance = random.Random(f"{plan.seed}-{number}")
    arrivals_s = poisson_arrivals(rate, plan.duration_s, chance.randrange(2**32))
    return Trace(_mix(len(arrivals_s), plan, chance), arrivals_s)


def _round(contenders: Sequence[Contender], trace: Trace) -> Latencies:
    """One server at a time: one that idles would take time from the other."""
    return {contender.name: _send(contender, trace) for contender in contenders}


def _send(contender: Contender, trace: Trace) -> dict[int, list[float]]:
    bodies = [item.body() for item in trace.items]
    with contender.start() as server:
        warm_up = Phase(server.port, contender.path, bodies[:8], concurrency=8)
        arrivals = Phase(server.port, contender.path, bodies, arrivals_s=trace.arrivals_s)
        _, samples = run_phases([warm_up, arrivals])
    check_answers(samples)
    return {steps: _latencies(samples, trace, steps) for steps in (SHORT_STEPS, LONG_STEPS)}


def _latencies(samples: Sequence[Sample], trace: Trace, steps: int) -> list[float]:
    chosen = [sample for sample in samples if trace.items[sample.index].kind.steps == steps]
    return [sample.latency_s for sample in chosen]


def _figures(rounds: Sequence[Latencies]) -> dict[str, float]:
    """Medians over the rounds."""
    figures = {}
    for steps in (SHORT_STEPS, LONG_STEPS):
        for name in rounds[0]:
            summaries = [Summary.of_seconds(latencies[name][steps]) for latencies in rounds]
            figures[f"{name}_{steps}_steps_p50_ms"] = median(each.p50 for each in summaries)
            figures[f"{name}_{steps}_steps_p99_ms"] = median(each.p99 for each in summaries)
    ratio = (
        figures[f"ours_{SHORT_STEPS}_steps_p99_ms"] / figures[f"static_{SHORT_STEPS}_steps_p99_ms"]
    )
    return {"short_p99_ratio": ratio, **figures}


def _summaries(rounds: Sequence[Latencies]) -> list[dict[str, Any]]:
    return [
        {
            name: {str(steps): Summary.of_seconds(values).as_dict() for steps, values in by.items()}
            for name, by in latencies.items()
        }
        for latencies in rounds
    ]
