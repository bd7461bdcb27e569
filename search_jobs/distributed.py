"""One search in all the processes that `torchrun` has started.

    torchrun --nproc-per-node 2 -m search_jobs run spec.json

All of them descend, each on its share of every batch (search/shard.py). The first one alone tells,
measures, publishes and writes; its data folder must be there for the others, too.

One end is the end of all: torchrun ends the others of a process that fails, and what fails in the
first one while they wait for it is raised in them as well.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed

from .control import StepOutcome
from .errors import SearchError, SearchRefused
from .search import Shard
from .settings import WorkerSettings
from .spec import Progress, StepResult

# While the first one measures, the others wait. None of them waits for a dead one: torchrun looks.
PATIENCE = timedelta(days=7)


@contextmanager
def together(settings: WorkerSettings) -> Iterator[WorkerSettings]:
    """`joined`, with the device of settings."""
    with joined(settings.device) as device:
        yield settings.model_copy(update={"device": device})


@contextmanager
def joined(asked: str) -> Iterator[str]:
    """Join the processes that torchrun has started, if it has; yields a device of our own.

    Such a process ends at the end of this. Raises SearchRefused where there is no GPU for each.
    """
    if not is_launched():
        yield asked
        return
    device = own_device(asked)
    # Parameters of a search lie on the CPU, whatever the network runs on.
    backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield device
    except SearchError:
        # All processes meet it alike or hear of it; the first one says so and fails. If another one
        # failed as well, torchrun could end the first one before it has spoken.
        if Shard.current().is_first:
            raise
    leave()


def leave() -> NoReturn:
    """End this process without taking torch's connections down.

    That is the one part in which processes could wait for each other once their work is written,
    or abort (seen twice, with gloo, in some hundred runs).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def is_launched() -> bool:
    """Whether torchrun has started this process, and others beside it."""
    return (
        torch.distributed.is_available()
        and torch.distributed.is_torchelastic_launched()
        and int(os.environ["WORLD_SIZE"]) > 1
    )


def own_device(asked: str) -> str:
    """The CPU, or this process' own GPU. Raises SearchRefused."""
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if asked not in ("auto", "cuda"):
        raise SearchRefused(
            f"--device: torchrun's processes take a GPU each: auto, cuda or cpu, got {asked!r}"
        )
    own, wanted = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if wanted > torch.cuda.device_count():
        raise SearchRefused(
            f"{wanted} processes need a GPU each, torch sees {torch.cuda.device_count()}: "
            "start fewer (--nproc-per-node), or say --device cpu"
        )
    torch.cuda.set_device(own)
    return f"cuda:{own}"


class Follower:
    """The control of every process but the first, whose control is the only one that is asked."""

    def report(self, progress: Progress) -> None:
        """The first one tells."""

    def should_stop(self) -> bool:
        raise NotImplementedError("the first process decides")

    def result(self, steps: int) -> StepResult | None:
        raise NotImplementedError("the first process knows")

    def publish(self, outcome: StepOutcome) -> StepResult:
        raise NotImplementedError("the first process publishes")
