"""What a request costs beside the network: ours with a stub against bare FastAPI."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any

from ..load import Sample
from ..load_process import Phase, check_answers, run_phases
from ..results import Result, Target
from ..summary import Summary, percentile
from . import servers

ABOUT = (
    "POST /generate, 1 step, unguided, a stub network that returns its input, 32x32 PNG in JSON, "
    "against bare FastAPI that parses the same body and returns as many bytes; both uvicorn with "
    "the same settings. Sequential keep-alive client on the same cores, alternating blocks."
)
TARGETS = (Target("added_p50_ms", "<=", 0.6),)
BODY = {"class_id": 7, "steps": 1, "guidance_scale": 1.0, "solver": "euler", "seed": 0}
CONCURRENCIES = (16, 32)


@dataclass(frozen=True)
class Plan:
    blocks: int
    requests_per_block: int
    warm_up: int
    saturated_requests: int  # in each round at each concurrency
    saturated_rounds: int


FULL = Plan(
    blocks=20, requests_per_block=200, warm_up=500, saturated_requests=4000, saturated_rounds=3
)
QUICK = Plan(
    blocks=4, requests_per_block=100, warm_up=100, saturated_requests=500, saturated_rounds=1
)


def measure(quick: bool) -> Result:
    plan = QUICK if quick else FULL
    with servers.stub() as ours:
        answer_bytes = _ask(ours.port, 1)[0].size
        with servers.bare(answer_bytes) as bare:
            ports = (ours.port, bare.port)
            sequential = _sequential(ports, plan)
            saturated = {count: _saturated(ports, count, plan) for count in CONCURRENCIES}
    summaries = [
        Summary.of_seconds([sample.latency_s for sample in chain.from_iterable(blocks)])
        for blocks in sequential
    ]
    return Result(
        name="serving-overhead",
        about=ABOUT,
        parameters={**vars(plan), "body": BODY, "answer_bytes": answer_bytes},
        figures=_figures(summaries, saturated),
        samples=_samples(summaries, sequential, saturated),
        targets=TARGETS,
    )


def _ask(port: int, count: int) -> list[Sample]:
    [samples] = run_phases([_phase(port, count)])
    check_answers(samples)
    return samples


def _phase(port: int, count: int, concurrency: int = 1) -> Phase:
    return Phase(port, servers.GENERATE, [BODY] * count, concurrency)


def _sequential(ports: Sequence[int], plan: Plan) -> list[list[list[Sample]]]:
    """Blocks of samples, for each port: block after block, the servers taking turns."""
    warm_up = [_phase(port, plan.warm_up) for port in ports]
    blocks = [_phase(port, plan.requests_per_block) for _ in range(plan.blocks) for port in ports]
    answers = run_phases([*warm_up, *blocks])
    check_answers(list(chain.from_iterable(answers)))
    measured = answers[len(warm_up) :]
    return [measured[i :: len(ports)] for i in range(len(ports))]


def _saturated(ports: Sequence[int], concurrency: int, plan: Plan) -> list[list[float]]:
    """Requests a second of every round, for each port."""
    rounds = [
        _phase(port, plan.saturated_requests, concurrency)
        for _ in range(plan.saturated_rounds)
        for port in ports
    ]
    answers = run_phases(rounds)
    check_answers(list(chain.from_iterable(answers)))
    rates = [_rate(samples) for samples in answers]
    return [rates[i :: len(ports)] for i in range(len(ports))]


def _rate(samples: Sequence[Sample]) -> float:
    first = min(sample.sent_at for sample in samples)
    return len(samples) / (max(sample.done_at for sample in samples) - first)


def _figures(
    summaries: Sequence[Summary], saturated: dict[int, list[list[float]]]
) -> dict[str, float]:
    ours, bare = summaries
    figures = {
        "added_p50_ms": ours.p50 - bare.p50,
        "ours_p50_ms": ours.p50,
        "bare_p50_ms": bare.p50,
        "ours_p99_ms": ours.p99,
        "bare_p99_ms": bare.p99,
    }
    for concurrency, (ours_rates, bare_rates) in saturated.items():
        figures[f"ours_requests_per_s_at_{concurrency}"] = median(ours_rates)
        figures[f"bare_requests_per_s_at_{concurrency}"] = median(bare_rates)
    return figures


def _samples(
    summaries: Sequence[Summary],
    sequential: Sequence[Sequence[Sequence[Sample]]],
    saturated: dict[int, list[list[float]]],
) -> dict[str, Any]:
    names = ("ours", "bare")
    return {
        "latency_ms": {
            name: summary.as_dict() for name, summary in zip(names, summaries, strict=True)
        },
        "p50_ms_by_block": {
            name: [_p50_ms(block) for block in blocks]
            for name, blocks in zip(names, sequential, strict=True)
        },
        "requests_per_s_by_round": {
            str(concurrency): dict(zip(names, rates, strict=True))
            for concurrency, rates in saturated.items()
        },
    }


def _p50_ms(block: Sequence[Sample]) -> float:
    return round(1000 * percentile([sample.latency_s for sample in block], 50), 4)
