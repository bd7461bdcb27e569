"""API keys, where the settings name any: `Authorization: Bearer …` or `X-API-Key: …`."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers

from ..errors import KeyMissing

PAGE_PATH = "/page/"  # below it lie the files of the page

# Probes and scrapers carry no keys; the page asks people for theirs, and holds no secrets.
OPEN_PATHS = frozenset({"/livez", "/readyz", "/metrics", "/", "/docs"})


def check_key(path: str, headers: Headers, keys: Sequence[str]) -> None:
    """Raises KeyMissing. Takes the same time whichever key is wrong, and wherever."""
    if not keys or path in OPEN_PATHS or path.startswith(PAGE_PATH):
        return
    given = _given_key(headers).encode()
    matches = [hmac.compare_digest(given, key.encode()) for key in keys]
    if not any(matches):
        raise KeyMissing("this server asks for a key: Authorization: Bearer … or X-API-Key: …")


def _given_key(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return headers.get("x-api-key", "")
