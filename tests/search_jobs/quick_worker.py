"""A worker as `python -m search_jobs worker` runs it, but for the search."""

import sys

from rq import Queue
from rq.job import Job

from search_jobs import job as job_module
from search_jobs.running import run_worker
from search_jobs.settings import read_worker_settings
from search_jobs.worker import SearchWorker
from tests.search_jobs.quick_search import quick_search


class QuickWorker(SearchWorker):
    """Its jobs' processes import this module, too."""

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        job_module.search = quick_search
        super().main_work_horse(job, queue)


if __name__ == "__main__":
    from tests.search_jobs.quick_worker import QuickWorker as Importable

    sys.exit(0 if run_worker(read_worker_settings(), Importable) else 1)
