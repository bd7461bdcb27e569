"""`python -m search_jobs run …`, but for one thing that goes wrong; its name comes first."""

import errno
import os
import sys
from typing import Any

from search_jobs import run
from search_jobs.__main__ import main
from search_jobs.search import Shard, search


def disk_is_full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def search_or_die(*arguments: Any, **options: Any) -> Any:
    if not Shard.current().is_first:
        os._exit(9)
    return search(*arguments, **options)


MISHAPS = {
    "the first cannot measure": (run, "assess", disk_is_full),
    "the first cannot publish": (run.StepRun, "_publish", disk_is_full),
    "the second dies": (run, "search", search_or_die),
}


if __name__ == "__main__":
    setattr(*MISHAPS[sys.argv[1]])
    sys.exit(main(["run", *sys.argv[2:]]))
