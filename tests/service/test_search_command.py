"""`fewstep search` and `fewstep jobs` against a real server."""

import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from rich.console import Console

from search_jobs.spec import JobState
from service.cli import main
from service.client import Client, Progressed, Search, SearchEvent
from service.commands import search as search_command
from service.commands.search_display import Bars, duration_text
from tests.service.live import Live, wait_until
from tests.service.searches import Worker

Output = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def environment(server: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWSTEP_URL", server.url)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def client(server: Live) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def worker(server: Live) -> Worker:
    return Worker(server.services)


def finish(worker: Worker, job_id: str, state: JobState = JobState.SUCCEEDED) -> None:
    """All that a worker does for one step count."""
    claim = worker.claim(job_id)
    worker.report(claim, 0.5, loss=0.25)
    worker.publish(claim, claim.spec.steps[0])
    worker.jobs.finish(claim, state, "the loss is NaN" if state is JobState.FAILED else None)


def finish_what_waits(worker: Worker, state: JobState = JobState.SUCCEEDED) -> None:
    wait_until(lambda: bool(worker.waiting()))
    (job_id,) = worker.waiting()
    try:
        finish(worker, job_id, state)
    except BaseException:  # whoever follows it is not to wait for ever
        worker.jobs.cancel(job_id)
        raise


@pytest.fixture(autouse=True)
def nothing_waits(worker: Worker) -> None:
    for job_id in worker.waiting():
        worker.jobs.cancel(job_id)


def test_a_search_is_started_shown_and_cancelled(capsys: Output, worker: Worker) -> None:
    flags = ["--guidance-scale", "2", "--method", "dss", "--objective", "endpoint"]
    more = ["--budget", "5000", "--seed", "3", "--promote", "never"]
    assert main(["search", "tiny", "--steps", "5,6,8", *flags, *more]) == 0
    told = capsys.readouterr()
    job_id = told.out.strip()
    assert f"fewstep jobs follow {job_id}" in told.err
    assert main(["jobs", "show", job_id]) == 0
    job = json.loads(capsys.readouterr().out)
    assert job["state"] == "queued"
    assert job["spec"] == {
        "model": "tiny",
        "steps": [5, 6, 8],
        "guidance_scale": 2.0,
        "method": "dss",
        "objective": "endpoint",
        "budget": 5000,
        "seed": 3,
        "promote": "never",
    }
    assert main(["jobs", "list", "--state", "queued"]) == 0
    assert re.search(rf"{job_id} +\d\d:\d\d +queued +tiny +5,6,8 +2 ", capsys.readouterr().out)
    assert main(["jobs", "cancel", job_id]) == 0
    assert capsys.readouterr().out == f"{job_id} is cancelled\n"
    assert main(["jobs", "stop", job_id]) == 1
    assert "has ended" in capsys.readouterr().err


def test_following_ends_with_a_table_of_what_was_found(capsys: Output, worker: Worker) -> None:
    with ThreadPoolExecutor() as pool:
        working = pool.submit(finish_what_waits, worker)
        assert main(["search", "--steps", "5", "--guidance-scale", "6.5", "--follow"]) == 0
        working.result()
    told = capsys.readouterr()
    table = r"5 steps *\nsolver +RMSE *\nab2 +0\.0625 *\ntiny-g6\.5-5/1, faithful +0\.1250"
    assert re.search(table, told.out)
    assert "Promoted: there was no faithful." in told.out
    assert re.search(r"5 steps .* 100% tiny-g6\.5-5/1, faithful", told.err)


def test_a_search_that_fails_is_a_failure_with_its_reason(capsys: Output, worker: Worker) -> None:
    with ThreadPoolExecutor() as pool:
        working = pool.submit(finish_what_waits, worker, JobState.FAILED)
        assert main(["search", "--steps", "7", "--guidance-scale", "6.5", "--follow"]) == 1
        working.result()
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.fullmatch(r"fewstep: search \S+ failed: the loss is NaN", last)


def test_a_reason_is_listed_as_it_is(capsys: Output, worker: Worker, client: Client) -> None:
    reason = "[enforce fail at alloc.cpp:1] no room for [/tmp/foo] :warning:"
    job = client.search(Search(steps=7, guidance_scale=6.5))
    worker.jobs.finish(worker.claim(job.id), JobState.FAILED, reason)
    assert main(["jobs", "list"]) == 0
    assert reason in capsys.readouterr().out


def test_a_finished_search_can_be_followed(capsys: Output, worker: Worker, client: Client) -> None:
    job = client.search(Search(steps=6, guidance_scale=6.5))
    finish(worker, job.id)
    assert main(["jobs", "follow", job.id]) == 0
    assert "tiny-g6.5-6/1" in capsys.readouterr().out


def test_ctrl_c_leaves_the_search_running_and_says_how_to_go_on(
    capsys: Output, worker: Worker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(bars: Bars, event: SearchEvent) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search_command.Bars, "show", interrupted)
    assert main(["search", "--steps", "5", "--follow"]) == 130
    (job_id,) = worker.waiting()
    told = capsys.readouterr().err
    for action in ("follow", "stop"):
        assert f"fewstep jobs {action} {job_id}" in told
    assert client.search_job(job_id).state is JobState.QUEUED


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search", "nonesuch", "--steps", "5"], "no model 'nonesuch'"),
        (["search", "--steps", "5,5"], "steps: every step count may be asked for once"),
        (["search", "--steps", "0"], "greater than or equal to 1"),
        (["search", "--steps", "5", "--budget", "-1"], "budget: "),
        (["jobs", "show", "nonesuch"], "no search job has the id 'nonesuch'"),
        (["jobs", "list", "--url", "http://127.0.0.1:1"], "is the server up?"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_failure_is_one_line(capsys: Output, arguments: list[str], told: str) -> None:
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("fewstep: ")
    assert told in line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["search"], "required: --steps"),
        (["search", "--steps", "many"], "must be whole numbers with commas, as in 5,6,8"),
        (["search", "--steps", "5,"], "must be whole numbers with commas, as in 5,6,8"),
        (["search", "--steps", "5", "--guidance-scale", "nan"], "must lie in [0, 50], got 'nan'"),
        (["search", "--steps", "5", "--guidance-scale", "inf"], "must lie in [0, 50], got 'inf'"),
        (["search", "--steps", "5", "--guidance-scale", "x"], "must be a number, got 'x'"),
        (["search", "--steps", "5", "--method", "x"], "invalid choice: 'x'"),
        (["generate", "0", "--guidance-scale", "nan"], "must lie in [0, 50], got 'nan'"),
        (["jobs"], "required: "),
        (["jobs", "list", "--state", "lost"], "argument --state: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_told_with_status_2(arguments: list[str], told: str, capsys: Output) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert "usage: fewstep" in error
    assert told in error


def test_bars_show_each_loss_and_the_time_that_remains_in_all(
    client: Client, worker: Worker
) -> None:
    job = client.search(Search(steps=[5, 6], guidance_scale=7.5))
    finish(worker, job.id)
    events = list(client.follow(job.id))

    def shown(count: int) -> str:
        written = io.StringIO()
        with Bars(job.spec, Console(file=written, width=120, force_terminal=True)) as bars:
            for event in events[:count]:
                bars.show(event)
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())

    half = events.index(next(event for event in events if isinstance(event, Progressed))) + 1
    assert re.search(r"5 steps .* 50% search, loss 0\.25 *\n", shown(half))
    assert re.search(r"in all .* 50% 50 s left", shown(half))
    assert "left" not in shown(len(events)).splitlines()[-1]
    assert re.search(r"5 steps .* 100% tiny-g7\.5-5/1, faithful", shown(len(events)))
    assert re.search(r"6 steps .* 0% waiting", shown(len(events)))


def test_without_a_terminal_each_stage_has_a_line(client: Client, worker: Worker) -> None:
    job = client.search(Search(steps=[5], guidance_scale=6.5))
    finish(worker, job.id)
    written = io.StringIO()
    with Bars(job.spec, Console(file=written, width=120)) as bars:
        for event in client.follow(job.id):
            bars.show(event)
            bars.show(event)
    lines = written.getvalue().splitlines()
    assert sum(line.startswith(" 50% 5 steps: search, loss 0.25") for line in lines) == 1


def test_durations_read_like_a_clock() -> None:
    assert [duration_text(s) for s in (0.4, 59.4, 61, 3723)] == ["0 s", "59 s", "1:01", "1:02:03"]


def test_the_id_of_a_job_is_whole_on_a_narrow_terminal(
    client: Client, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    job = client.search(Search(steps=[4, 5, 6, 7, 8, 9, 10]))
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["jobs", "list"]) == 0
    assert job.id in capsys.readouterr().out
