"""From a spec to published versions: for every step count search, measure, decide, publish.

spec -> search -> evaluate -> promotion -> control.publish

What hours of searching have found is published even where it cannot be measured: then without
evidence and promotion, and the decision says why.

In several processes (distributed.py) all search; the first one alone does the rest and tells the
others what came of it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from diffusion_core.memory import forget_allocations
from diffusion_core.model import LoadedModel, ModelFolder
from solver_store.errors import StoreUnavailable
from solver_store.records import JSON, Target
from solver_store.store import SolverStore
from solver_store.table import SolverTable

from .assessment import Assessment, assess
from .control import Control, StepOutcome
from .critic import load_critic
from .errors import JobCancelled, LeaseLost
from .evaluate import EvaluationPlan, Meter, Subject
from .reasons import OUR_ERRORS, reason_of
from .reporting import Reporter
from .search import Descended, Shard, Step, search
from .spec import Objective, SearchSpec, StepResult

logger = logging.getLogger(__name__)

NOT_SURVIVED = "no process has survived measuring it, most likely because memory ran out"


@dataclass(frozen=True)
class SearchResources:
    """What a search works with."""

    model: LoadedModel
    folder: ModelFolder
    store: SolverStore
    workspace: Path  # of this job: its checkpoints
    cache: Path  # of all jobs: endpoints, measurements


def run_spec(
    spec: SearchSpec,
    resources: SearchResources,
    control: Control,
    furthest: float = 0.0,
    unmeasured: int | None = None,
) -> None:
    """Do all of a job. What an earlier run of it has published is not done again.

    A stop ends the descent that goes on, and what it has found is measured and published. Step
    counts without a descent are left out: nothing is kept for them, and where there was none at
    all, nothing is published. A start, which anyone can have without a search, is not worth the
    minutes of its measurement to somebody who wants an end.

    furthest    the fraction that an earlier run of it has come to
    unmeasured  a step count whose measuring no earlier run has survived: it is published without

    In several processes, `control` and the store are those of the first one.

    Raises SearchRefused, SearchDiverged, StoreUnavailable, OSError, and whatever `control` raises.
    """
    known: dict[str, SolverTable] = {}
    reporter = Reporter(control, spec.steps, furthest=furthest)
    shard = Shard.current()
    for steps in spec.steps:
        result = shard.of_first(control.result, steps)
        if result is None:
            why_not = NOT_SURVIVED if steps == unmeasured else None
            result = StepRun(spec, resources, control, reporter, steps, why_not).run(known)
        if result is not None:
            known |= shard.of_first(_published, resources.store, result)
        reporter.finished(steps)


def _published(store: SolverStore, result: StepResult) -> dict[str, SolverTable]:
    version = store.get(result.solver.name, result.solver.version)
    return {f"{version.name}/{version.version}": version.table}


class _LeftOut(Exception):
    """Ends the work on a step count that a stop leaves out."""


class StepRun:
    """The part of a job that is about one step count."""

    def __init__(
        self,
        spec: SearchSpec,
        resources: SearchResources,
        control: Control,
        reporter: Reporter,
        steps: int,
        why_not_measured: str | None = None,
    ):
        """why_not_measured: a reason to publish without; None measures."""
        self.spec = spec
        self.steps = steps
        self._why_not_measured = why_not_measured
        self._resources = resources
        self._control = control
        self._reporter = reporter
        self._subject = Subject.of_model(resources.model, resources.folder, spec.guidance_scale)
        self._checkpoint = resources.workspace / f"{steps}.safetensors"

    def run(self, known: Mapping[str, SolverTable]) -> StepResult | None:
        """None where a stop leaves this step count out.

        known: tables that this job has found for other step counts, by name.
        """
        try:
            self._leave_out_if_stopped()
            found = self._search(known)
        except _LeftOut:
            return None
        return Shard.current().of_first(self._publish, found)

    def _leave_out_if_stopped(self) -> None:
        """Raises _LeftOut. One process is asked, so that all leave it out together."""
        if Shard.current().of_first(self._is_left_out):
            raise _LeftOut

    def _is_left_out(self) -> bool:
        """One that has a checkpoint has begun to descend: there is something to keep."""
        return self._control.should_stop() and not self._checkpoint.exists()

    def _publish(self, found: Descended) -> StepResult:
        return self._control.publish(self._outcome(found, self._assess_if_possible(found.table)))

    def _assess_if_possible(self, table: SolverTable) -> Assessment:
        if self._why_not_measured is not None:
            return self._not_assessed(self._why_not_measured)
        try:
            return self._assess(table)
        except (JobCancelled, LeaseLost, StoreUnavailable):
            raise
        except Exception as error:  # whatever it is, what was found is worth more
            reason = reason_of(error)
            is_ours = isinstance(error, OUR_ERRORS)
            logger.error("%d steps: not measured: %s", self.steps, reason, exc_info=not is_ours)
        # Only here is the error gone, whose frames may hold activations.
        forget_allocations()
        return self._not_assessed(reason)

    def _not_assessed(self, reason: str) -> Assessment:
        target = Target(self.spec.model, self.spec.guidance_scale)
        return Assessment(
            name=self._resources.store.name_of(target, self.steps),
            evidence=None,
            promotions=(),
            decision=f"Not measured, so nothing is promoted: {reason}.",
        )

    def _search(self, known: Mapping[str, SolverTable]) -> Descended:
        spec, resources = self.spec, self._resources
        needs_critic = spec.objective is not Objective.ENDPOINT
        return search(
            self._subject.problem,
            self.steps,
            method=spec.method,
            objective=spec.objective,
            critic=load_critic(resources.folder, resources.model) if needs_critic else None,
            budget=spec.budget,
            seed=spec.seed,
            known=known,
            checkpoint=self._checkpoint,
            cache=resources.cache,
            watch=self._searching,
            teaching=self._teaching,
        )

    def _assess(self, table: SolverTable) -> Assessment:
        resources = self._resources
        # Told before the first forward, too: it may be the one that this process does not survive.
        self._reporter.evaluating(self.steps, 0, 1)
        return assess(
            self._subject,
            resources.model.card,
            resources.store,
            table,
            self._subject.plan(EvaluationPlan.num_samples),
            promote=self.spec.promote,
            cache=resources.cache,
            meter=Meter(self._evaluating),
        )

    def _teaching(self, done: int, of: int) -> None:
        self._reporter.teaching(self.steps, done, of)
        self._leave_out_if_stopped()

    def _searching(self, step: Step) -> bool:
        self._reporter.searching(self.steps, step)
        return self._control.should_stop()

    def _evaluating(self, done: int, of: int, what: str) -> None:
        self._reporter.evaluating(self.steps, done, of)

    def _outcome(self, found: Descended, assessment: Assessment) -> StepOutcome:
        return StepOutcome(
            steps=self.steps,
            name=assessment.name,
            target=Target(self.spec.model, self.spec.guidance_scale),
            table=found.table,
            source=self._source(found),
            evidence=[] if assessment.evidence is None else [assessment.evidence],
            promotions=assessment.promotions,
            decision=assessment.decision,
        )

    def _source(self, found: Descended) -> dict[str, JSON]:
        """How the table came to be: enough to make it again."""
        spec = self.spec.model_dump(mode="json")
        asked = ("method", "objective", "model", "guidance_scale", "budget", "seed")
        return {
            "kind": "searched",
            **{name: spec[name] for name in asked},
            "model_digest": self._resources.model.digest,
            "start": found.start,
            "iterations": found.iterations,
            "evaluations": found.evaluations,
            "loss": found.loss,
            "first_loss": found.first_loss,
            "seconds": round(found.seconds, 1),
        }
