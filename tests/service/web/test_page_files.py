"""What the page is made of: its types, its caching, and what it may not do."""

import re
from pathlib import Path

import httpx
import pytest

from service.page_files import FOLDER, page_files
from tests.service.conftest import StartServer
from tests.service.live import assert_problem

VENDOR = FOLDER / "vendor"


def place(http: httpx.Client) -> str:
    """Where the files lie, as the page itself says."""
    found = re.search(r'href="(page/[0-9a-f]+)/icon.svg"', http.get("/").text)
    assert found
    return found[1]


def test_browsers_get_the_page(http: httpx.Client) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    page = http.get("/", headers={"Accept": accept})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["vary"] == "Accept"
    for link in ("docs", "models", "solvers", "metrics"):
        assert f'href="{link}"' in page.text
        assert http.get(f"/{link}").status_code == 200


def test_programs_get_json(http: httpx.Client) -> None:
    overview = http.get("/", headers={"Accept": "application/json"})
    assert overview.headers["content-type"] == "application/json"
    for route in ("models", "solvers", "search-jobs", "livez", "readyz", "metrics"):
        assert route in overview.json()["routes"]
        assert http.get(f"/{route}").status_code == 200
    assert http.get(overview.json()["documentation"]).json()["openapi"]


def test_who_takes_neither_is_told(http: httpx.Client) -> None:
    assert_problem(http.get("/", headers={"Accept": "image/png"}), 406)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_may_come_from_elsewhere(http: httpx.Client, path: str) -> None:
    page = http.get(path)
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "//" not in "".join(re.findall(r'(?:src|href)="([^"]*)"', page.text))


def test_pages_have_no_code_and_no_style_between_their_tags() -> None:
    for document in FOLDER.glob("*.html"):
        text = document.read_text()
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", text), document


def test_no_text_becomes_markup() -> None:
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b")
    for module in FOLDER.rglob("*.js"):
        if VENDOR not in module.parents:
            assert not forbidden.search(module.read_text()), module


@pytest.mark.parametrize(
    ("file", "media_type"),
    [
        ("app.js", "text/javascript; charset=utf-8"),
        ("views/playground.js", "text/javascript; charset=utf-8"),
        ("styles/base.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("vendor/uplot/LICENSE.txt", "text/plain; charset=utf-8"),
    ],
)
def test_files_are_kept_for_ever_under_the_name_of_their_contents(
    http: httpx.Client, file: str, media_type: str
) -> None:
    address = f"/{place(http)}/{file}"
    response = http.get(address)
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.content == (FOLDER / file).read_bytes()
    for tag in (response.headers["etag"], f"W/{response.headers['etag']}", '"other", *'):
        again = http.get(address, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == response.headers["etag"]
    assert http.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_documents_are_asked_for_again(http: httpx.Client, path: str) -> None:
    page = http.get(path)
    assert page.headers["cache-control"] == "no-cache"
    again = http.get(path, headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "file",
    [
        "nonesuch.js",
        "",
        "../app.py",
        "..%2Fapp.py",
        "%2e%2e/%2e%2e/pyproject.toml",
        "views",
        "/etc/passwd",
        "styles/../../settings.py",
    ],
)
def test_no_path_leads_out(http: httpx.Client, file: str) -> None:
    target = f"/{place(http)}/{file}"
    # As it is: a client would tidy the path first.
    response = http.send(
        http.build_request("GET", httpx.URL(http.base_url, raw_path=target.encode()))
    )
    assert_problem(response, 404)


def test_another_version_s_files_are_not_here(http: httpx.Client) -> None:
    assert_problem(http.get("/page/0123456789abcdef/app.js"), 404)


def test_every_module_is_loaded_at_once_and_exists() -> None:
    known = page_files()
    text = known.document("index.html", "page/x").body.decode()
    preloaded = set(re.findall(r'modulepreload" href="page/x/([^"]+)"', text))
    assert {"app.js", "views/health.js", "playground/strip.js"} <= preloaded
    for module in preloaded:
        source = known.files[module].body.decode()
        for target in re.findall(r'^(?:import|export) .*?from "(\.[^"]+)";', source, re.M | re.S):
            resolved = ((FOLDER / module).parent / target).resolve().relative_to(FOLDER)
            assert resolved.as_posix() in known.files, f"{module} imports {target}"


def test_a_changed_file_changes_where_they_lie(tmp_path: Path) -> None:
    for name, body in (("one", "1"), ("two", "2")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "app.js").write_text(body)
        (folder / "notes.md").write_text("not for browsers")
    one, two = page_files(tmp_path / "one"), page_files(tmp_path / "two")
    assert list(one.files) == ["app.js"]
    assert one.digest != two.digest


def test_the_page_is_open_where_keys_are_asked_for(start_server: StartServer) -> None:
    """It asks people for their key, and holds no secrets."""
    with start_server(api_keys="first") as live, httpx.Client(base_url=live.url) as http:
        for path in ("/", "/docs", f"/{place(http)}/app.js"):
            assert http.get(path).status_code == 200
        assert_problem(http.get("/models"), 401)
        assert_problem(http.get("/openapi.json"), 401)


def test_vendored_files_come_with_their_licences() -> None:
    for folder in VENDOR.iterdir():
        assert (folder / "LICENSE.txt").stat().st_size > 500
