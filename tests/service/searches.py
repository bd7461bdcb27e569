"""Searches: posted, ended, and worked on as a worker would, by what it writes."""

from typing import Any

import httpx

from search_jobs.control import Promotion, StepOutcome
from search_jobs.job_store import JobStore
from search_jobs.job_writes import Claim
from search_jobs.spec import JobState, Progress, StepResult
from service.answers import SearchJobAnswer
from service.assembly import Services
from solver_store.records import FAITHFUL, Evidence, Target
from solver_store.table import Prediction, SolverTable


def post(http: httpx.Client, **body: Any) -> SearchJobAnswer:
    response = http.post("/search-jobs", json={"steps": 5} | body)
    assert response.status_code == 202, response.text
    return SearchJobAnswer.model_validate_json(response.content, extra="forbid")


def end(http: httpx.Client, job_id: str, how: str = "cancel") -> SearchJobAnswer:
    response = http.post(f"/search-jobs/{job_id}/{how}")
    assert response.status_code == 200, response.text
    return SearchJobAnswer.model_validate_json(response.content, extra="forbid")


class Worker:
    """Works on the jobs of a server, one step at a time, as a test tells it."""

    def __init__(self, services: Services):
        self.jobs = JobStore(services.store.database)
        self.store = services.store
        self.digest = services.models[services.default_model].digest

    def waiting(self) -> list[str]:
        """The ids of the jobs that wait for a worker."""
        return [job.id for job in self.jobs.jobs(JobState.QUEUED)]

    def claim(self, job_id: str) -> Claim:
        claim = self.jobs.claim(job_id, "a worker")
        assert claim is not None
        return claim

    def report(self, claim: Claim, fraction: float, loss: float | None = None) -> None:
        progress = Progress(
            fraction=fraction,
            steps=claim.spec.steps[0],
            stage="search",
            evaluations=int(fraction * claim.spec.budget),
            loss=loss,
            best_loss=loss,
            eta_s=100 * (1 - fraction),
            candidate=euler(claim.spec.steps[0]).as_dict(),
        )
        self.jobs.report(claim, progress)

    def publish(self, claim: Claim, steps: int, alias: str = FAITHFUL) -> StepResult:
        """Euler's table; other tests need not know, unless it becomes the champion."""
        spec = claim.spec
        target = Target(spec.model, spec.guidance_scale)
        name = target.solver_name(steps)
        evidence = Evidence(
            spec.model,
            self.digest,
            steps,
            spec.guidance_scale,
            metrics={"endpoint_rmse": 0.125},
            details={"rivals": [{"name": "ab2", "metrics": {"endpoint_rmse": 0.0625}}]},
        )
        outcome = StepOutcome(
            steps=steps,
            name=name,
            target=target,
            table=euler(steps),
            source={"kind": "search", "job": claim.job_id},
            evidence=(evidence,),
            promotions=(Promotion(alias, None, "the first"),),
            decision=f"Promoted: there was no {alias}.",
        )
        return self.jobs.publish(claim, outcome)


def euler(steps: int) -> SolverTable:
    times = tuple(n / steps for n in range(steps + 1))
    return SolverTable(
        "rectified-flow",
        Prediction.VELOCITY,
        times[:-1],
        times,
        (1.0,) * steps,
        tuple((1 / steps,) for _ in range(steps)),
    )
