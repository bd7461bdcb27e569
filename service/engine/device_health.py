"""Whether the device still computes, asked where something failed.

After an illegal access, or an error in its memory that cannot be corrected, CUDA answers every call
of this process with that error, for good: only another process can use the device again.
"""

import logging
from collections.abc import Iterable

from diffusion_core.memory import synchronise

from .lanes import LaneBank

logger = logging.getLogger(__name__)


class DeviceHealth:
    """Other threads may read it."""

    def __init__(self) -> None:
        self.fault: str | None = None  # where there is one, it stays

    def examine(self, banks: Iterable[LaneBank]) -> None:
        """Was it what failed alone, or the device under it?"""
        for device in {bank.model.device for bank in banks}:
            if self.fault is not None:
                return
            try:
                synchronise(device)
            except Exception as error:  # whatever it says: a device that works says nothing
                reason = str(error).partition("\n")[0]  # the rest is advice for programmers
                self.fault = f"{device} is broken ({reason}): only a new process can use it again"
                logger.critical("%s; /livez says so until this one ends", self.fault)
