"""What the engine does with time that no image needs.

On the engine thread, because no other one may compute: a second team of OpenMP threads makes
every forward slower (diffusion_core/host.py).
"""

from typing import Protocol

from .requests import ImageRequest, Pixels


class SpareTimeWork(Protocol):
    """All methods are called on the engine thread and must never fail."""

    def see(
        self, request: ImageRequest, pixels: Pixels, submitted_at: float, background: bool
    ) -> None:
        """A picture was made; a moment later it is handed out."""

    def after_step(self, duration_s: float, background: bool) -> None:
        """A step took so long: do a slice of the work, if one is little beside it."""

    def when_idle(self) -> bool:
        """Do a slice of the work; returns whether more is left."""


class NothingToDo:
    """Rests."""

    def see(
        self, request: ImageRequest, pixels: Pixels, submitted_at: float, background: bool
    ) -> None:
        return

    def after_step(self, duration_s: float, background: bool) -> None:
        return

    def when_idle(self) -> bool:
        return False
