"""The load generator in a process of its own: phases in as JSON, samples out as JSON.

`run_phases` is called by benchmarks; `python -m benchmarks.load_process` is what it starts.
"""

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

from . import environment
from .http_client import post
from .load import Connections, Sample, closed_loop, open_loop
from .processes import BenchmarkError, stop


@dataclass(frozen=True)
class Phase:
    """One stretch of load on one server. With arrivals it is an open loop, else a closed one."""

    port: int
    path: str
    bodies: Sequence[dict[str, Any]]
    concurrency: int = 1
    arrivals_s: Sequence[float] | None = None


def run_phases(phases: Sequence[Phase]) -> list[list[Sample]]:
    """Send every phase in order from one fresh process. Raises BenchmarkError where it fails."""
    plan = json.dumps([asdict(phase) for phase in phases]).encode()
    process = subprocess.Popen(
        (sys.executable, "-m", __name__),
        cwd=environment.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        answer, _ = process.communicate(plan)
    finally:
        stop(process)
    if process.returncode != 0:
        raise BenchmarkError(f"the load generator ended with status {process.returncode}")
    return [[Sample(*sample) for sample in phase] for phase in json.loads(answer)]


def check_answers(samples: Sequence[Sample]) -> None:
    """Raises BenchmarkError where any request was not answered with 200."""
    bad = [sample for sample in samples if sample.status != 200]
    if bad:
        statuses = sorted({sample.status for sample in bad})
        raise BenchmarkError(
            f"{len(bad)} of {len(samples)} requests were not answered with 200 but {statuses} "
            "(0 is a lost connection)"
        )


async def send_phases(phases: Sequence[Phase]) -> list[list[Sample]]:
    """Connections live across phases."""
    pools = {phase.port: Connections(phase.port) for phase in phases}
    samples = [await _send(phase, pools[phase.port]) for phase in phases]
    for connections in pools.values():
        connections.close()
    return samples


async def _send(phase: Phase, connections: Connections) -> list[Sample]:
    requests = [post(phase.path, body) for body in phase.bodies]
    if phase.arrivals_s is None:
        return await closed_loop(connections, requests, phase.concurrency)
    return await open_loop(connections, requests, phase.arrivals_s)


def _main() -> None:
    phases = [Phase(**phase) for phase in json.load(sys.stdin)]
    gc.freeze()
    gc.disable()  # a collection in the client would look like a slow server
    samples = _fastest_runner()(send_phases(phases))
    json.dump([[astuple(sample) for sample in phase] for phase in samples], sys.stdout)


def _fastest_runner() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    runner: Callable[[Coroutine[Any, Any, Any]], Any] = uvloop.run
    return runner


if __name__ == "__main__":
    _main()
