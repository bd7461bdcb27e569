"""Settings are variables `FEWSTEP_…` or flags: what all processes know, and how all are read."""

import argparse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .folders import DEFAULT_HOME

PREFIX = "FEWSTEP_"


def _separated(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_separated)]  # one text, with commas


class CommonSettings(BaseSettings):
    """What the service and its workers are both told.

    What may hold a secret has repr=False; no message shows its value.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Field(DEFAULT_HOME, description="data folder: database, models, caches")
    database_url: str | None = Field(
        None,
        repr=False,
        description="postgresql://… or sqlite:///…; default: SQLite in the data folder",
    )
    redis_url: str | None = Field(
        None,
        repr=False,
        description="redis://… or unix://…, for the search jobs; default: one of our own",
    )
    models: Names = Field(
        (), description="names or folders of models, with commas; default: all that are at hand"
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$", description="auto, cpu, cuda or cuda:1"
    )
    threads: int | None = Field(
        None, ge=1, le=1024, description="CPU threads of the networks; default: torch's choice"
    )

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home.resolve() / 'fewstep.db'}"


AnySettings = TypeVar("AnySettings", bound=CommonSettings)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def add_flags(
    parser: argparse.ArgumentParser,
    settings: type[CommonSettings],
    names: Iterable[str] | None = None,
) -> None:
    """One flag for each setting, or for each of `names`."""
    for name in settings.model_fields if names is None else names:
        parser.add_argument(
            flag(name),
            dest=name,
            metavar=name.upper(),
            help=f"{settings.model_fields[name].description} ({variable(name)})",
        )


def given_flags(arguments: argparse.Namespace, settings: type[CommonSettings]) -> dict[str, str]:
    """The settings that were given as flags."""
    flags = {name: getattr(arguments, name, None) for name in settings.model_fields}
    return {name: text for name, text in flags.items() if text is not None}


def read(
    settings: type[AnySettings], flags: Mapping[str, str], refusal: Callable[[str], Exception]
) -> AnySettings:
    """Flags first, then variables, then defaults. Raises a refusal, in one line."""
    given: dict[str, Any] = dict(flags)
    try:
        return settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        place = flag(name) if name in flags else variable(name)
        shown = f", got {first['input']!r:.60}" if settings.model_fields[name].repr else ""
        raise refusal(f"{place}: {_rule(name, first['msg'])}{shown}") from None


def _rule(name: str, message: str) -> str:
    if name == "device":
        return "must be auto, cpu, cuda or cuda:N"
    message = message.removeprefix("Value error, ")  # how pydantic begins what a validator says
    return message[0].lower() + message[1:]
