"""Every setting of the service: a `FEWSTEP_…` variable, a flag of `fewstep serve`, one source."""

import argparse
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from diffusion_core.folders import DEFAULT_HOME

from .errors import SettingInvalid

PREFIX = "FEWSTEP_"

Names = Annotated[tuple[str, ...], NoDecode]  # one text, separated by commas


class Settings(BaseSettings):
    """Raises SettingInvalid through `read_settings`, which names the setting."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(DEFAULT_HOME, description="data folder: database, models, caches")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$", description="auto, cpu, cuda or cuda:1"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="what the networks compute in; auto means float32"
    )
    threads: int | None = Field(
        None, ge=1, le=1024, description="CPU threads of the networks; default: torch's choice"
    )
    database_url: str | None = Field(
        None, description="postgresql://… or sqlite:///…; default: SQLite in the data folder"
    )
    redis_url: str | None = Field(
        None,
        repr=False,
        description="redis://… or unix://…, for the search jobs; default: one of our own",
    )
    workers: int = Field(
        1, ge=0, le=64, description="processes here that search better solvers; 0 for none"
    )
    models: Names = Field(
        (), description="names or folders of models, with commas; default: all that are at hand"
    )
    default_model: str | None = Field(
        None, description="the model of requests that name none; default: the first loaded"
    )
    max_rows: int | None = Field(
        None, ge=2, le=4096, description="network rows per forward; default: measured at the start"
    )
    queue_rows: int = Field(
        64 * 256 * 2,  # the largest request there can be: 64 guided images of 256 steps
        ge=1,
        description="bound of the queue, in network rows times remaining steps",
    )
    drain_s: float = Field(
        8.0, ge=0, le=3600, description="seconds that running images have after SIGTERM"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )
    api_keys: Names = Field(
        (), repr=False, description="keys that clients must show, with commas; default: none needed"
    )

    @field_validator("models", "api_keys", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home.resolve() / 'fewstep.db'}"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each setting, under its name."""
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            _flag(name),
            dest=name,
            metavar=name.upper(),
            help=f"{field.description} ({PREFIX}{name.upper()})",
        )


def given_flags(arguments: argparse.Namespace) -> dict[str, str]:
    """The settings that were given as flags."""
    flags = {name: getattr(arguments, name) for name in Settings.model_fields}
    return {name: value for name, value in flags.items() if value is not None}


def read_settings(flags: dict[str, str] | None = None) -> Settings:
    """Flags first, then variables, then defaults. Raises SettingInvalid, in one line."""
    given: dict[str, Any] = dict(flags or {})
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        place = _flag(name) if name in given else PREFIX + name.upper()
        value = "" if name == "api_keys" else f", got {first['input']!r:.60}"
        raise SettingInvalid(f"{place}: {_rule(name, first['msg'])}{value}") from None


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _rule(name: str, message: str) -> str:
    if name == "device":
        return "must be auto, cpu, cuda or cuda:N"
    return message[0].lower() + message[1:]
