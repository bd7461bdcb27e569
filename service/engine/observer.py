"""Who wants to know what the engine does: metrics, and later the quality proxy."""

from typing import Protocol


class EngineObserver(Protocol):
    """Called on the engine thread, between steps: every method must be quick and never fail."""

    def on_step(self, model: str, rows: int, duration_s: float) -> None:
        """A forward of `rows` network rows and its update took `duration_s`."""

    def on_decode(self, model: str, duration_s: float) -> None:
        """Pictures were decoded, or failed to be, which took `duration_s`."""

    def on_image(self, model: str, queue_s: float, sampling_s: float, evaluations: int) -> None:
        """An image was finished after so many network evaluations."""


class NoObserver:
    """Looks away."""

    def on_step(self, model: str, rows: int, duration_s: float) -> None:
        return

    def on_decode(self, model: str, duration_s: float) -> None:
        return

    def on_image(self, model: str, queue_s: float, sampling_s: float, evaluations: int) -> None:
        return
