"""A worker as `python -m search_jobs worker` runs it, but for the search."""

import sys

from search_jobs import job as job_module
from search_jobs.__main__ import log_to_stderr
from search_jobs.running import run_worker
from search_jobs.settings import read_worker_settings
from search_jobs.worker import SearchWorker
from tests.search_jobs.quick_search import quick_search


class QuickWorker(SearchWorker):
    program = (sys.executable, "-m", "tests.search_jobs.quick_worker")


def main(arguments: list[str]) -> int:
    log_to_stderr()
    if not arguments:
        return 0 if run_worker(read_worker_settings(), QuickWorker) else 1
    holder, job_id = arguments
    job_module.search = quick_search
    job_module.perform(job_id, holder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
