"""GET / and /docs: what people see, and the files that it is made of."""

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..border.keys import PAGE_PATH
from ..border.negotiation import accepted_by, choose
from ..page_files import PageFile, page_files
from ..version import VERSION

router = APIRouter(include_in_schema=False)

HTML, JSON = "text/html", "application/json"

# Nothing but our own files, and pictures that the page makes itself.
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
ASK_AGAIN = {"Cache-Control": "no-cache"}
KEEP = {"Cache-Control": "public, max-age=31536000, immutable"}


class Overview(BaseModel):
    """Where to go from here, for programs."""

    name: str = "fewstep"
    version: str = VERSION
    documentation: str = "openapi.json"
    routes: tuple[str, ...] = (
        "generate", "models", "solvers", "search-jobs", "livez", "readyz", "metrics",
    )  # fmt: skip


@router.head("/")
@router.get("/")
async def index(request: Request) -> Response:
    """The page for browsers; for programs that ask for JSON, where to go from here."""
    if choose(accepted_by(request), (HTML, JSON)) == JSON:
        return Response(Overview().model_dump_json(), media_type=JSON, headers={"Vary": "Accept"})
    return _document(request, "index.html", {"Vary": "Accept"})


@router.head("/docs")
@router.get("/docs")
async def documentation(request: Request) -> Response:
    """All routes, to read and to try."""
    return _document(request, "docs.html")


@router.get(PAGE_PATH + "{digest}/{path:path}")
async def page_file(digest: str, path: str, request: Request) -> Response:
    """A file that the documents name."""
    known = page_files()
    if digest != known.digest or path not in known.files:
        raise HTTPException(404)
    return _answer(request, known.files[path], KEEP)


def _document(request: Request, name: str, headers: dict[str, str] | None = None) -> Response:
    known = page_files()
    # Relative to the document, so that a proxy may put a path in front.
    place = f"{PAGE_PATH[1:]}{known.digest}"
    return _answer(request, known.document(name, place), ASK_AGAIN | (headers or {}))


def _answer(request: Request, file: PageFile, headers: dict[str, str]) -> Response:
    headers = SECURITY | headers | {"ETag": file.etag}
    known = [tag.strip().removeprefix("W/") for tag in _if_none_match(request).split(",")]
    if file.etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)


def _if_none_match(request: Request) -> str:
    return request.headers.get("if-none-match", "")
