"""Images per second of the saturated server with its pictures judged, and without."""

import re
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from ..load_process import Phase, check_answers, run_phases
from ..processes import Server, free_port, serving
from ..results import Result, Target
from ..serving.servers import GENERATE, MODEL, bundled_card, settings_variables
from ..serving.throughput import steady_window

ABOUT = (
    "Two servers, one with its pictures judged; closed loop over HTTP, guidance as the model's "
    "default, so that every picture could be judged; rounds alternate. The ratio is that of the "
    "medians; the share is of the engine's time, by its own clock."
)
TARGETS = (
    Target("judged_over_unjudged", ">=", 0.98),
    Target("judging_share_of_time", "<=", 0.02),
)
STEPS = (4, 6, 8)
JUDGING = 'fewstep_fid_proxy_seconds_total{work="judging"}'
STEPPING = f'fewstep_engine_step_duration_seconds_sum{{model="{MODEL}"}}'
JUDGED = f'fewstep_fid_proxy_images_total{{fate="judged",model="{MODEL}",source="live"}}'


@dataclass(frozen=True)
class Plan:
    rounds: int
    images: int  # of a round
    concurrency: int = 32


FULL = Plan(rounds=6, images=600)
QUICK = Plan(rounds=1, images=60, concurrency=16)


def measure(quick: bool) -> Result:
    plan = QUICK if quick else FULL
    rates: dict[bool, list[float]] = {True: [], False: []}
    with _server(judged=True) as judged, _server(judged=False) as unjudged:
        for number in range(plan.rounds):
            # Whoever comes first comes second in the next round.
            for is_judged in (True, False) if number % 2 else (False, True):
                server = judged if is_judged else unjudged
                rates[is_judged].append(_images_per_s(server.port, plan, number))
        told = _metrics(judged)
    return Result(
        name="proxy-cost",
        about=ABOUT,
        parameters={**asdict(plan), "model": MODEL, "steps": STEPS},
        figures={
            "judged_over_unjudged": median(rates[True]) / median(rates[False]),
            "judging_share_of_time": told[JUDGING] / told[STEPPING],
            "images_judged": told[JUDGED],
            "judged_images_per_s": median(rates[True]),
            "unjudged_images_per_s": median(rates[False]),
        },
        samples={"judged": rates[True], "unjudged": rates[False]},
        targets=TARGETS,
    )


def _images_per_s(port: int, plan: Plan, number: int) -> float:
    """Of a steady window, after a lead and before a tail of as many as are in flight.

    Every round has seeds of its own: the proxy would leave out what it has seen.
    """
    count = plan.images + 3 * plan.concurrency
    num_classes = len(bundled_card().classes)
    bodies = [
        {"class_id": n % num_classes, "steps": STEPS[n % len(STEPS)], "seed": number * count + n}
        for n in range(count)
    ]
    [samples] = run_phases([Phase(port, GENERATE, bodies, plan.concurrency)])
    check_answers(samples)
    seconds, counted = steady_window(samples, 2 * plan.concurrency, plan.images)
    return len(counted) / seconds


@contextmanager
def _server(judged: bool) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.proxy.server", "--port", str(port)]
    with (
        TemporaryDirectory() as home,
        serving(
            command if judged else [*command, "--unjudged"],
            port,
            "/readyz",
            settings_variables(Path(home)),
        ) as server,
    ):
        yield server


def _metrics(server: Server) -> dict[str, float]:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        text = answer.read().decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s]\S*) (\S+)$", text, re.M)}
