"""The files of the page: read once, kept in memory, and named by what is in them.

Where the files lie for browsers depends on their contents, so they may be kept for ever; only the
documents that name them are asked for again. What is not in memory cannot be served: no path leads
out of the folder.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "web"

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

# In documents: where the other files lie, and links that load every module of the page at once.
PLACE = "{{place}}"
PRELOADS = "{{preloads}}"


@dataclass(frozen=True)
class PageFile:
    body: bytes
    media_type: str

    @property
    def etag(self) -> str:
        return f'"{_digest(self.body)}"'


@dataclass(frozen=True)
class PageFiles:
    """All files by their path inside the folder, and the digest of them all."""

    files: Mapping[str, PageFile]
    digest: str

    def document(self, name: str, place: str) -> PageFile:
        """An HTML document that finds the other files at `place`."""
        modules = (path for path in self.files if _is_module(path))
        preloads = "\n".join(
            f'<link rel="modulepreload" href="{place}/{path}">' for path in modules
        )
        template = self.files[name]
        text = template.body.decode().replace(PRELOADS, preloads).replace(PLACE, place)
        return PageFile(text.encode(), template.media_type)


@cache
def page_files(folder: Path = FOLDER) -> PageFiles:
    """Read the folder; files of other kinds than those above are not for browsers."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in MEDIA_TYPES)
    files = {
        path.relative_to(folder).as_posix(): PageFile(path.read_bytes(), MEDIA_TYPES[path.suffix])
        for path in paths
    }
    summary = "\n".join(f"{path} {file.etag}" for path, file in files.items())
    return PageFiles(files, _digest(summary.encode()))


def _is_module(path: str) -> bool:
    return path.endswith(".js") and not path.startswith(("vendor/", "docs."))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
