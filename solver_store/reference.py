"""How a solver is named: references, names and aliases.

    auto                      whatever is best for the model and the step count
    glyphs-g1.5-8             a name: its champion, a classical solver or a published family
    glyphs-g1.5-8@faithful    the version that an alias points at
    glyphs-g1.5-8/3           one version
    sha256:4f0c2a91be77       one table, by its digest or the first 12 digits or more of it

Parsing decides the form only. Whether a plain name is a classical solver, a published family or a
name in the store is for the caller to find out; `check_free_name` keeps the three apart.
"""

import re
from dataclasses import dataclass

from .errors import InvalidReference
from .published import published_tables

MIN_DIGEST_DIGITS = 12

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,31}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_DIGEST = re.compile(rf"[0-9a-f]{{{MIN_DIGEST_DIGITS},64}}")

# Classical solvers and `auto` mean the same in every store, so no table may take their names.
_RESERVED = re.compile(
    r"auto|(euler|heun|ab[234]|ddim|dpmpp-[23]m|unipc-[23]|deis-3)(-lambda|-bh1)*"
)


@dataclass(frozen=True)
class AutoReference:
    """Whatever is best for the model, the step count and the guidance scale."""

    def __str__(self) -> str:
        return "auto"


@dataclass(frozen=True)
class NameReference:
    """A plain name: in the store, the version that its `champion` points at."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class AliasReference:
    """The version that an alias points at now."""

    name: str
    alias: str

    def __str__(self) -> str:
        return f"{self.name}@{self.alias}"


@dataclass(frozen=True)
class VersionReference:
    """One version, for good."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class DigestReference:
    """One table, for good, under whatever name."""

    digest: str  # 12 to 64 hexadecimal digits, the first ones of the sha256

    def __str__(self) -> str:
        return f"sha256:{self.digest}"


StoredReference = NameReference | AliasReference | VersionReference | DigestReference
Reference = AutoReference | StoredReference


def parse_reference(text: str) -> Reference:
    """Read a solver reference; `str()` of the result is the text again.

    Raises InvalidReference, with the rule that the text breaks.
    """
    if text == "auto":
        return AutoReference()
    if text.startswith("sha256:"):
        return DigestReference(check_digest(text.removeprefix("sha256:")))
    if "@" in text:
        name, _, alias = text.partition("@")
        return AliasReference(check_name(name), check_alias(alias))
    if "/" in text:
        name, _, version = text.partition("/")
        return VersionReference(check_name(name), _version(version))
    return NameReference(check_name(text))


def check_name(name: str) -> str:
    """Return a well-formed name. Raises InvalidReference."""
    if not _NAME.fullmatch(name):
        raise InvalidReference(
            "a solver name is 1 to 100 of a-z, 0-9, '.', '_' and '-', and starts with a letter or "
            f"digit; got {_shown(name)}"
        )
    return name


def check_free_name(name: str) -> str:
    """Return a name under which tables may be published. Raises InvalidReference."""
    if _RESERVED.fullmatch(check_name(name)):
        raise InvalidReference(f"{name!r} is taken: it means a classical solver or a rule")
    if name in {published.family for published in published_tables()}:
        raise InvalidReference(f"{name!r} is taken: it means a published family of tables")
    return name


def check_alias(alias: str) -> str:
    """Return a well-formed alias. Raises InvalidReference."""
    if not _ALIAS.fullmatch(alias):
        raise InvalidReference(
            "an alias is 1 to 32 of a-z, 0-9, '.', '_' and '-', and starts with a letter; "
            f"got {_shown(alias)}"
        )
    return alias


def check_digest(digest: str) -> str:
    """Return a digest or the beginning of one. Raises InvalidReference."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidReference(
            f"a digest is {MIN_DIGEST_DIGITS} to 64 lower-case hexadecimal digits, "
            f"got {_shown(digest)}"
        )
    return digest


def _version(text: str) -> int:
    if not _VERSION.fullmatch(text):
        raise InvalidReference(
            f"a version is a whole number from 1 to 999999999, got {_shown(text)}"
        )
    return int(text)


def _shown(text: str) -> str:
    """The text as a message may carry it: quoted, escaped, never long."""
    return repr(text if len(text) <= 60 else text[:60] + "…")
