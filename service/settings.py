"""What the service alone is told; what its workers know, too, is in the base."""

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from diffusion_core.settings import CommonSettings, Names, read

from .errors import SettingInvalid


def _checked_url(text: str) -> str:
    """Raises ValueError where no request could be sent there."""
    if not _is_url(text):
        raise ValueError(
            "must begin with http:// or https:// and name a host, and a port up to 65535 if any"
        )
    return text


def _is_url(text: str) -> bool:
    if " " in text or not text.isprintable():  # which urlsplit takes, and leaves out
        return False
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets around no address, or a port that is none
        return False


class Settings(CommonSettings):
    """Raises SettingInvalid through `read_settings`, which names the setting."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="what the networks compute in; auto means float32"
    )
    workers: int = Field(
        1, ge=0, le=64, description="processes here that search better solvers; 0 for none"
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
        description="bound of each model's queue, in network rows times remaining steps",
    )
    drain_s: float = Field(
        8.0, ge=0, le=3600, description="seconds that running images have after SIGTERM"
    )
    canary: float = Field(
        0.05,
        ge=0,
        le=0.5,
        description="share of idle time for pictures that watch over quality, while somebody "
        "reads the metrics; 0 for none",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning or error"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text, or json for one object a line"
    )
    traces_url: Annotated[str, AfterValidator(_checked_url)] | None = Field(
        None,
        description="OpenTelemetry collector that gets a trace of every request, such as "
        "http://127.0.0.1:4318/v1/traces; needs the extra `tracing`",
    )
    api_keys: Names = Field(
        (), repr=False, description="keys that clients must show, with commas; default: none needed"
    )


def read_settings(flags: Mapping[str, str] | None = None) -> Settings:
    """Flags first, then variables, then defaults. Raises SettingInvalid, in one line."""
    return read(Settings, flags or {}, SettingInvalid)
