"""One search job, from its claim to its end, in a process of its own."""

import logging
from contextlib import closing

from solver_store.store import SolverStore

from .errors import JobCancelled, JobNotFound, LeaseLost
from .job_control import JobControl
from .job_store import JobStore
from .job_writes import Claim
from .patience import open_patiently, patiently
from .reasons import OUR_ERRORS, reason_of
from .settings import WorkerSettings, read_worker_settings
from .spec import JobState, Progress

logger = logging.getLogger(__name__)


def perform(job_id: str, holder: str) -> None:
    """Do a job, unless there is nothing to do: somebody works on it, or it has ended.

    holder names the worker that this process belongs to.
    """
    settings = read_worker_settings()
    with closing(open_patiently(settings.database)) as store:
        jobs = JobStore(store.database)
        try:
            claim = patiently(lambda: jobs.claim(job_id, holder))
        except JobNotFound as error:
            logger.warning("%s", error)
            return
        if claim is None:
            logger.info("there is nothing to do for search job %s", job_id)
            return
        try:
            _perform(claim, jobs, store, settings)
        except (JobCancelled, LeaseLost) as error:
            logger.info("%s", error)


def search(claim: Claim, store: SolverStore, settings: WorkerSettings, control: JobControl) -> None:
    """Raises what a search may raise; see reason_of."""
    from .resources import open_resources  # torch takes seconds to import
    from .run import run_spec

    workspace = settings.workspace(claim.job_id)
    resources = open_resources(claim.spec.model, store, settings, workspace)
    run_spec(claim.spec, resources, control, control.furthest, claim.unmeasured)


def _perform(claim: Claim, jobs: JobStore, store: SolverStore, settings: WorkerSettings) -> None:
    """Raises JobCancelled, LeaseLost: then nothing more is to be written."""
    with JobControl(jobs, claim) as control:
        try:
            _tell_that_it_begins(claim, control)
            # An unfinished search goes on from its checkpoint, so it may be begun twice.
            patiently(lambda: search(claim, store, settings, control))
        except (JobCancelled, LeaseLost):
            raise
        except Exception as error:  # whatever it is, it ends the job, and a person wants to know
            reason = reason_of(error)
            is_ours = isinstance(error, OUR_ERRORS)
            logger.error("search job %s has failed: %s", claim.job_id, reason, exc_info=not is_ours)
            control.tell_the_last()
            patiently(lambda: jobs.finish(claim, JobState.FAILED, reason))
        else:
            _end(claim, jobs, control)


def _tell_that_it_begins(claim: Claim, control: JobControl) -> None:
    """At once: on a busy machine torch and the model take minutes to load.

    Raises JobCancelled, LeaseLost.
    """
    left = (steps for steps in claim.spec.steps if control.result(steps) is None)
    begun = Progress(fraction=control.furthest, steps=next(left, None), stage="teacher")
    control.report(begun)


def _end(claim: Claim, jobs: JobStore, control: JobControl) -> None:
    """A job that was stopped before it had found anything is cancelled, as one that still waits.

    Raises JobCancelled, LeaseLost.
    """
    if control.should_stop() and not patiently(lambda: jobs.get(claim.job_id)).results:
        patiently(lambda: jobs.finish(claim, JobState.CANCELLED))
        return
    control.tell_that_all_is_done()
    patiently(lambda: jobs.finish(claim, JobState.SUCCEEDED))
