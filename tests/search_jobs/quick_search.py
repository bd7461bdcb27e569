"""In place of a search: a chain of numbers, a checkpoint after each, a table made of the last.

The result depends on the seed alone, however often it is cut off. The budget says how many links
the chain has, and the seeds below what else happens on the way.
"""

import ctypes
import errno
import json
import os
import time
from enum import IntEnum

from diffusion_core.files import write_atomically
from search_jobs.control import Control
from search_jobs.errors import SearchDiverged
from search_jobs.job_writes import Claim
from search_jobs.settings import WorkerSettings
from search_jobs.spec import Progress
from solver_store.store import SolverStore
from tests.search_jobs.builders import outcome, promotion

LINK_S = 0.01
MIN_SHADE = 0.01


class Mishap(IntEnum):
    """Seeds with which something happens."""

    ASLEEP = 101  # in a computation that leaves the interpreter alone
    DEAF = 102  # in one that does not
    DIVERGED = 103
    DISK_FULL = 104
    BROKEN = 105
    CROWDED = 106


def shade_of(seed: int, links: int) -> float:
    """What the chain comes to: the oracle."""
    value = seed
    for _ in range(links):
        value = (value * 48271 + 11) % 2147483647
    return MIN_SHADE + (1 - 2 * MIN_SHADE) * value / 2147483647


def quick_search(
    claim: Claim, store: SolverStore, settings: WorkerSettings, control: Control
) -> None:
    workspace = settings.workspace(claim.job_id)
    workspace.mkdir(parents=True, exist_ok=True)
    (workspace / "pid").write_text(str(os.getpid()))
    for steps in claim.spec.steps:
        if control.result(steps) is None:
            _search(claim, settings, control, steps)


def _search(claim: Claim, settings: WorkerSettings, control: Control, steps: int) -> None:
    seed, links = claim.spec.seed, claim.spec.budget
    checkpoint = settings.workspace(claim.job_id) / f"{steps}.json"
    link = json.loads(checkpoint.read_bytes()) if checkpoint.exists() else 0
    _misbehave(seed, control)
    while link < links and not control.should_stop():
        time.sleep(LINK_S)
        link += 1
        write_atomically(json.dumps(link).encode(), checkpoint)
        control.report(Progress(fraction=link / links, steps=steps, stage="search", iteration=link))
    found = outcome(steps, shade_of(seed, link), promotions=(promotion(),))
    control.publish(found)


def _misbehave(seed: int, control: Control) -> None:
    match seed:
        case Mishap.ASLEEP:
            control.report(Progress(fraction=0.1, stage="search"))
            time.sleep(60)
        case Mishap.DEAF:
            control.report(Progress(fraction=0.1, stage="search"))
            ctypes.PyDLL(None).sleep(60)
        case Mishap.DIVERGED:
            raise SearchDiverged("the loss is nan after 3 iterations")
        case Mishap.DISK_FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/data/5.safetensors")
        case Mishap.BROKEN:
            raise RuntimeError("mat1 and mat2 cannot be multiplied")
        case Mishap.CROWDED:
            import torch  # takes seconds, and the others do without

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
