"""Searches as a worker would do them, without a worker: what it writes into the database."""

from search_jobs.control import Promotion, StepOutcome
from search_jobs.job_store import JobStore
from search_jobs.job_writes import Claim
from search_jobs.spec import Progress, StepResult
from service.assembly import Services
from solver_store.records import CHAMPION, Evidence, Target
from solver_store.table import Prediction, SolverTable


class Worker:
    """Works on the jobs of a server, one step at a time, as a test tells it."""

    def __init__(self, services: Services):
        self.jobs = JobStore(services.store.database)
        self.store = services.store
        self.digest = services.models["tiny"].digest

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
            eta_s=100 * (1 - fraction),
        )
        self.jobs.report(claim, progress)

    def publish(self, claim: Claim, steps: int) -> StepResult:
        """Euler's table, promoted to champion."""
        spec = claim.spec
        target = Target(spec.model, spec.guidance_scale)
        name = target.solver_name(steps)
        evidence = Evidence(
            spec.model, self.digest, steps, spec.guidance_scale, {"endpoint_rmse": 0.125}
        )
        outcome = StepOutcome(
            steps=steps,
            name=name,
            target=target,
            table=euler(steps),
            source={"kind": "search", "job": claim.job_id},
            evidence=(evidence,),
            promotions=(Promotion(CHAMPION, None, "the first"),),
            decision="Promoted: there was no champion.",
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
