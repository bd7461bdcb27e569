"""The contract of the jobs' records, on every database: claims, and all that they may write."""

from collections.abc import Callable
from typing import Any

from search_jobs.job_store import JobStore
from search_jobs.job_writes import Claim
from search_jobs.spec import JobState, Progress
from tests.search_jobs.builders import outcome, spec

Write = Callable[[JobStore, Claim], object]

WRITES: dict[str, Write] = {
    "report": lambda jobs, claim: jobs.report(claim, Progress(fraction=0.5)),
    "publish": lambda jobs, claim: jobs.publish(claim, outcome()),
    "finish": lambda jobs, claim: jobs.finish(claim, JobState.SUCCEEDED),
    "fail": lambda jobs, claim: jobs.finish(claim, JobState.FAILED, "no reason"),
    "look": lambda jobs, claim: jobs.stop_requested(claim),
}


def claimed(jobs: JobStore, **changes: Any) -> Claim:
    job, _ = jobs.submit(spec(**changes))
    claim = jobs.claim(job.id, "worker")
    assert claim is not None
    return claim


def history(jobs: JobStore, job_id: str) -> list[str]:
    events = jobs.events(job_id)
    assert [entry.number for entry in events] == list(range(1, len(events) + 1))
    return [entry.kind for entry in events]


def everything(jobs: JobStore, job_id: str) -> object:
    return jobs.get(job_id), jobs.events(job_id)
