"""Which media type to answer with: the `Accept` header of RFC 9110, section 12.5.1."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request

from ..errors import NotAcceptable

_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
_RANGE = re.compile(r"(\*)/(\*)|([\w!#$&^.+-]+)/([\w!#$&^.+-]+|\*)")


@dataclass(frozen=True)
class MediaRange:
    """One entry of an `Accept` header, such as `image/*;q=0.8`."""

    main: str
    sub: str
    quality: float

    @property
    def precision(self) -> int:
        """How much it says: the most precise range that matches decides."""
        return (self.main != "*") + (self.sub != "*")

    def matches(self, media_type: str) -> bool:
        main, sub = media_type.split("/")
        return self.main in ("*", main) and self.sub in ("*", sub)


def accepted_by(request: Request) -> str:
    """The request's `Accept`, from as many headers as it comes in."""
    return ", ".join(request.headers.getlist("accept"))


def choose(accept: str, offered: Sequence[str]) -> str:
    """The offered type that the client likes best; among equals the first offered.

    Raises NotAcceptable where the client takes none of them.
    """
    if not accept or accept == "*/*":
        return offered[0]
    if accept in offered:
        return accept
    ranges = _parse(accept)
    qualities = [_quality(media_type, ranges) for media_type in offered]
    best = max(qualities)
    if best == 0:
        raise NotAcceptable(f"Accept must allow one of {', '.join(offered)}")
    return offered[qualities.index(best)]


def _quality(media_type: str, ranges: Sequence[MediaRange]) -> float:
    matching = [entry for entry in ranges if entry.matches(media_type)]
    return max(matching, key=lambda entry: entry.precision).quality if matching else 0.0


def _parse(accept: str) -> list[MediaRange]:
    """Read the header; entries that cannot be read are left out."""
    entries = (entry.split(";") for entry in accept.lower().split(","))
    ranges = []
    for media_range, *parameters in entries:
        match = _RANGE.fullmatch(media_range.strip())
        quality = _quality_parameter(parameters)
        if match and quality is not None:
            ranges.append(MediaRange(match[1] or match[3], match[2] or match[4], quality))
    return ranges


def _quality_parameter(parameters: Sequence[str]) -> float | None:
    """The q of an entry, 1 where there is none; None where it cannot be read."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _QUALITY.fullmatch(value) else None
    return 1.0
