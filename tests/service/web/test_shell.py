"""What surrounds the views: keys, a server that goes away, and the routes' own page."""

import socket
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.service.live import running
from tests.service.searches import Worker
from tests.service.web.browser import Visit, visiting
from tests.service.web.conftest import settings_for

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_server_that_goes_away_and_comes_back_is_survived(
    browser: Browser, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, free_port())
    with visiting(browser, f"http://127.0.0.1:{settings.port}") as visit:
        page = visit.page
        away = page.get_by_text("The server does not answer. Trying again")
        with running(settings) as live:
            worker = Worker(live.services)
            visit.open("#/searches")
            page.get_by_role("button", name="Start the search").click()
            expect(page.get_by_text("waiting for a worker")).to_be_visible()
            job = page.url.rpartition("/")[2]
        expect(away).to_be_visible()
        page.get_by_role("link", name="Solvers").first.click()
        expect(page.get_by_role("heading", name="This cannot be shown")).to_be_visible()
        page.go_back()
        expect(page.get_by_role("heading", name="This cannot be shown")).to_be_visible()
        with running(settings) as live:
            expect(away).to_have_count(0)
            worker = Worker(live.services)
            worker.report(worker.claim(job), 0.5, 3.0)
            expect(page.get_by_text("7 steps: descending")).to_be_visible()
            visit.complaints.clear()


def test_a_search_is_followed_over_a_restart(browser: Browser, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, free_port())
    with visiting(browser, f"http://127.0.0.1:{settings.port}") as visit:
        page = visit.page
        with running(settings) as live:
            visit.open("#/searches")
            page.get_by_role("button", name="Start the search").click()
            expect(page.get_by_text("waiting for a worker")).to_be_visible()
            worker = Worker(live.services)
            claim = worker.claim(page.url.rpartition("/")[2])
            worker.report(claim, 0.25, 8.0)
            expect(page.get_by_role("img", name="Loss: from 8.00 to 8.00")).to_be_visible()
        with running(settings) as live:
            Worker(live.services).report(claim, 0.5, 4.0)
            expect(page.get_by_role("img", name="Loss: from 8.00 to 4.00")).to_be_visible()


def test_a_server_with_keys_asks_for_one(browser: Browser, tmp_path: Path) -> None:
    settings = settings_for(tmp_path).model_copy(update={"api_keys": ("first",)})
    with running(settings) as live, visiting(browser, live.url) as visit:
        page = visit.page
        visit.open("#/solvers")
        dialog = page.get_by_role("dialog", name="This server asks for a key")
        dialog.get_by_label("Key").fill("wrong")
        dialog.get_by_role("button", name="Use this key").click()
        expect(dialog).to_contain_text("did not take the last one")
        dialog.get_by_label("Key").fill("first")
        dialog.get_by_role("button", name="Use this key").click()
        expect(page.get_by_role("heading", name="Classical")).to_be_visible()
        assert page.evaluate("() => localStorage.length") == 0
        page.goto(f"{live.url}/docs")  # the same tab knows it
        expect(page.get_by_text("/search-jobs/{job_id}/events")).to_be_visible()
        assert all("401" in text for text in visit.complaints)


def test_all_routes_can_be_read_without_the_rest_of_the_world(visit: Visit) -> None:
    hosts: set[str] = set()
    visit.page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    visit.open("docs")
    expect(visit.page.get_by_text("/search-jobs/{job_id}/events")).to_be_visible()
    assert hosts == {visit.url.split("/")[2]}


@pytest.mark.parametrize("place", ["#/playground", "#/searches"])
def test_a_server_without_models_says_what_to_do(visit: Visit, place: str) -> None:
    visit.page.route("**/models", lambda route: route.fulfill(json={"models": []}))
    visit.open(place)
    expect(visit.page.get_by_text("No model is loaded.")).to_be_visible()
