"""What a worker is told: nothing that the service does not know, too."""

from collections.abc import Mapping
from pathlib import Path

from diffusion_core.settings import CommonSettings, read

from .errors import SearchRefused


class WorkerSettings(CommonSettings):
    """Raises SearchRefused through `read_worker_settings`, which names the setting."""

    def workspace(self, job_id: str) -> Path:
        """Where a job keeps its checkpoints."""
        return self.home / "searches" / job_id

    @property
    def cache(self) -> Path:
        """What all jobs share: endpoints of teachers and references, and measurements."""
        return self.home / "search-cache"


def read_worker_settings(flags: Mapping[str, str] | None = None) -> WorkerSettings:
    """Flags first, then variables, then defaults. Raises SearchRefused, in one line."""
    return read(WorkerSettings, flags or {}, SearchRefused)
