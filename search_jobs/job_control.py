"""What a running search holds on to, where the search is a job in the database."""

import logging
import threading
from time import monotonic

from solver_store.errors import StoreError

from .control import StepOutcome
from .errors import JobCancelled, LeaseLost
from .job_store import JobStore
from .job_writes import Claim
from .patience import patiently
from .spec import Progress, StepResult

logger = logging.getLogger(__name__)

LOOK_S = 0.3  # between two looks for requests to stop
TELL_S = 1.0  # between two tellings of the newest progress


class JobControl:
    """Tells others how far the search is, and the search what others ask of it.

    Use as a context; it has a thread of its own. The search's thread learns of a cancelled job or
    a lost lease when it calls any method next. The worker holds the lease, and ends a process that
    it waits for in vain (see worker.py).
    """

    def __init__(self, jobs: JobStore, claim: Claim) -> None:
        self._jobs = jobs
        self._claim = claim
        self._progress: Progress | None = None
        self._told: Progress | None = None
        self._stop_requested = False
        self._ended_by: JobCancelled | LeaseLost | None = None
        self._telling = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="control", daemon=True)

    def __enter__(self) -> "JobControl":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()

    @property
    def furthest(self) -> float:
        """The highest fraction that this claim of the job, or one before it, has come to."""
        told = 0.0 if self._progress is None else self._progress.fraction
        return max(self._claim.furthest, told)

    def report(self, progress: Progress) -> None:
        """The first of a stage is written at once, then at most one each TELL_S."""
        self._check()
        self._progress = progress
        if self._told is None or self._told.stage != progress.stage:
            self._tell()

    def should_stop(self) -> bool:
        self._check()
        return self._stop_requested

    def result(self, steps: int) -> StepResult | None:
        self._check()
        return patiently(lambda: self._jobs.result(self._claim.job_id, steps))

    def publish(self, outcome: StepOutcome) -> StepResult:
        return patiently(lambda: self._jobs.publish(self._claim, outcome))

    def tell_the_last(self) -> None:
        """Write the last progress, if it was not. Raises LeaseLost, JobCancelled."""
        self._tell()

    def tell_that_all_is_done(self) -> None:
        """Raises LeaseLost, JobCancelled."""
        last = self._progress or Progress()
        self._progress = last.model_copy(
            update={
                "fraction": 1.0,
                "stage": "done",
                "steps": None,
                "eta_s": 0.0,
                "candidate": None,
            }
        )
        self._tell()

    def _tell(self) -> None:
        patiently(self._tell_if_new)

    def _tell_if_new(self) -> None:
        """The two threads tell nothing twice."""
        with self._telling:
            progress = self._progress
            if progress is not None and progress != self._told:
                self._jobs.report(self._claim, progress)
                self._told = progress

    def _check(self) -> None:
        if self._ended_by is not None:
            raise self._ended_by

    def _watch(self) -> None:
        tell_at = monotonic() + TELL_S
        while not self._closing.wait(LOOK_S):
            try:
                self._stop_requested = self._jobs.stop_requested(self._claim)
                if monotonic() >= tell_at:
                    self._tell_if_new()
                    tell_at = monotonic() + TELL_S
            except (JobCancelled, LeaseLost) as error:
                self._ended_by = error
                return
            except StoreError as error:
                logger.warning("the job is out of reach: %s", error)
