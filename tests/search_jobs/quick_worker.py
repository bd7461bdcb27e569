"""A worker as `python -m search_jobs worker` runs it, but for the search."""

import sys

from search_jobs import job as job_module
from search_jobs.__main__ import log_to_stderr
from search_jobs.__main__ import main as search_jobs_main
from search_jobs.running import run_worker
from search_jobs.settings import read_worker_settings
from search_jobs.worker import SearchWorker
from tests.search_jobs.quick_search import quick_search


class QuickWorker(SearchWorker):
    program = (sys.executable, "-m", "tests.search_jobs.quick_worker")


def main(arguments: list[str]) -> int:
    if not arguments:
        log_to_stderr()
        return 0 if run_worker(read_worker_settings(), QuickWorker) else 1
    job_module.search = quick_search
    return search_jobs_main(["perform", *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
