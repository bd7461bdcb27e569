import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.http_client import post
from benchmarks.load import Connections, Sample, closed_loop, open_loop, poisson_arrivals
from benchmarks.load_process import Phase, check_answers, run_phases
from benchmarks.processes import BenchmarkError
from benchmarks.serving.throughput import steady_window
from tests.benchmarks.trivial_server import ANSWER, TrivialServer, trivial_server


def closed(
    bodies: Sequence[dict[str, Any]], concurrency: int, together: int = 1
) -> tuple[list[Sample], TrivialServer]:
    async def run() -> tuple[list[Sample], TrivialServer]:
        async with trivial_server(together) as server:
            connections = Connections(server.port)
            requests = [post("/", body) for body in bodies]
            samples = await closed_loop(connections, requests, concurrency)
            connections.close()
            return samples, server

    return asyncio.run(run())


def test_closed_loop_keeps_its_concurrency_and_its_connections() -> None:
    samples, server = closed([{}] * 40, concurrency=8, together=8)

    assert server.most_waiting == 8
    assert server.connections == 8
    assert sorted(sample.index for sample in samples) == list(range(40))
    assert all(sample.status == 200 and sample.size == len(ANSWER) for sample in samples)


def test_samples_come_in_order_of_completion() -> None:
    samples, _ = closed([{}] * 30, concurrency=5)

    assert [sample.done_at for sample in samples] == sorted(sample.done_at for sample in samples)
    assert all(sample.latency_s > 0 for sample in samples)


def test_a_lost_connection_is_a_sample_and_not_the_end() -> None:
    samples, _ = closed([{}, {"hang_up": True}, {"status": 503}, {}], concurrency=1)

    assert [sample.status for sample in samples] == [200, 0, 503, 200]


def test_open_loop_does_not_wait_for_answers_and_counts_from_the_arrival() -> None:
    async def run() -> tuple[list[Sample], TrivialServer]:
        async with trivial_server(together=5) as server:  # the first waits for the fifth
            connections = Connections(server.port)
            arrivals_s = [0.0, 0.005, 0.01, 0.015, 0.02]
            samples = await open_loop(connections, [post("/", {})] * 5, arrivals_s)
            connections.close()
            return samples, server

    samples, server = asyncio.run(run())
    by_index = {sample.index: sample for sample in samples}

    assert server.most_waiting == 5
    assert by_index[4].sent_at - by_index[0].sent_at == pytest.approx(0.02)
    assert by_index[0].latency_s > 0.02


def test_poisson_arrivals_repeat_and_have_their_rate() -> None:
    arrivals_s = poisson_arrivals(rate=50, duration_s=100, seed=1)

    assert arrivals_s == poisson_arrivals(rate=50, duration_s=100, seed=1)
    assert arrivals_s == sorted(arrivals_s)
    assert len(arrivals_s) == pytest.approx(5000, rel=0.05)
    assert arrivals_s[-1] < 100


def test_the_load_process_sends_phases_in_order() -> None:
    async def run() -> list[list[Sample]]:
        async with trivial_server() as server:
            phases = [
                Phase(server.port, "/", [{}] * 3),
                Phase(server.port, "/", [{"status": 500}] * 2, arrivals_s=[0.0, 0.01]),
            ]
            return await asyncio.to_thread(run_phases, phases)

    first, second = asyncio.run(run())

    assert [sample.status for sample in first] == [200] * 3
    assert [sample.status for sample in second] == [500] * 2
    with pytest.raises(BenchmarkError, match="2 of 2"):
        check_answers(second)


def test_steady_window_leaves_ramp_up_and_drain_out() -> None:
    samples = [Sample(n, 0.0, float(n), 200, 0) for n in range(10)]
    seconds, counted = steady_window(samples, skip=3, count=4)

    assert seconds == 4.0
    assert [sample.index for sample in counted] == [3, 4, 5, 6]


def test_a_connection_that_the_server_closed_while_idle_is_replaced() -> None:
    async def run() -> tuple[Sample, TrivialServer]:
        async with trivial_server() as server:
            connections = Connections(server.port)
            await connections.exchange(0, post("/", {}), sent_at=0.0)
            server.close_idle()
            sample = await connections.exchange(1, post("/", {}), sent_at=0.0)
            connections.close()
            return sample, server

    sample, server = asyncio.run(run())

    assert sample.status == 200
    assert server.connections == 2
