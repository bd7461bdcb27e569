"""What a worker is told: `FEWSTEP_…` variables, the same as the service's, or flags."""

import argparse
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from diffusion_core.folders import DEFAULT_HOME

from .errors import SearchRefused

PREFIX = "FEWSTEP_"


class WorkerSettings(BaseSettings):
    """Raises SearchRefused through `read_worker_settings`, which names the setting."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    home: Path = Field(DEFAULT_HOME, description="data folder: database, models, caches")
    database_url: str | None = Field(
        None, description="postgresql://… or sqlite:///…; default: SQLite in the data folder"
    )
    redis_url: str | None = Field(
        None, description="redis://… or unix://…; default: a server of our own in the data folder"
    )
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="names or folders of models, with commas; default: all that are at hand"
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$", description="auto, cpu, cuda or cuda:1"
    )
    threads: int | None = Field(
        None, ge=1, le=1024, description="CPU threads of a search; default: torch's choice"
    )

    @field_validator("models", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home.resolve() / 'fewstep.db'}"

    def workspace(self, job_id: str) -> Path:
        """Where a job keeps its checkpoints."""
        return self.home / "searches" / job_id

    @property
    def cache(self) -> Path:
        """What all jobs share: the teachers' trajectories."""
        return self.home / "search-cache"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each setting, under its name."""
    for name, field in WorkerSettings.model_fields.items():
        parser.add_argument(
            "--" + name.replace("_", "-"),
            metavar=name.upper(),
            help=f"{field.description} ({PREFIX}{name.upper()})",
        )


def given_flags(arguments: argparse.Namespace) -> dict[str, str]:
    """The settings that were given as flags."""
    flags = {name: getattr(arguments, name) for name in WorkerSettings.model_fields}
    return {name: value for name, value in flags.items() if value is not None}


def read_worker_settings(flags: dict[str, str] | None = None) -> WorkerSettings:
    """Flags first, then variables, then defaults. Raises SearchRefused, in one line."""
    try:
        return WorkerSettings(**(flags or {}))  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise SearchRefused(f"{PREFIX}{name}: {first['msg']}, got {first['input']!r:.60}") from None
