"""A worker that is told to stop in the moment before it starts the process of its first job."""

import os
import signal
import sys

from rq import Queue
from rq.job import Job

from search_jobs.__main__ import log_to_stderr
from search_jobs.running import run_worker
from search_jobs.settings import read_worker_settings
from tests.search_jobs.quick_worker import QuickWorker


class InterruptedWorker(QuickWorker):
    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        os.kill(os.getpid(), signal.SIGTERM)  # its handler has run when this returns
        assert self.was_told_to_stop
        super().fork_work_horse(job, queue)


if __name__ == "__main__":
    log_to_stderr()
    sys.exit(0 if run_worker(read_worker_settings(), InterruptedWorker) else 1)
