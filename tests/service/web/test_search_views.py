"""A search from the form to the matrix. What its worker does, the test does in its place."""

import re

import pytest
from playwright.sync_api import expect

from search_jobs.spec import JobState
from solver_store.records import CHAMPION
from tests.service.live import Live
from tests.service.searches import Worker
from tests.service.web.browser import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def worker(site: Live) -> Worker:
    return Worker(site.services)


def start(visit: Visit, steps: str) -> str:
    """Fill in the form and send it; returns the id of the search."""
    visit.open("#/searches")
    form = visit.page.get_by_role("form", name="A new search")
    form.get_by_label("Steps").fill(steps)
    form.get_by_role("button", name="Start the search").click()
    expect(visit.page).to_have_url(re.compile(r"#/searches/\d{8}-[0-9a-f]+$"))
    return visit.page.url.rpartition("/")[2]


def test_a_search_is_started_watched_and_found_in_the_matrix(visit: Visit, worker: Worker) -> None:
    page = visit.page
    job = start(visit, "2")
    expect(page.get_by_role("status").filter(has_text="waiting for a worker")).to_be_visible()

    claim = worker.claim(job)
    for fraction, loss in ((0.2, 8.0), (0.4, 4.0), (0.6, 2.0)):
        worker.report(claim, fraction, loss)
    expect(page.get_by_role("status").filter(has_text="2 steps: descending")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Loss: from 8.00 to 2.00"))).to_be_visible()
    samples = page.get_by_role("img", name="by the table as it stands")
    expect(samples).to_have_count(5)
    expect(page.get_by_role("img", name="Weights of the search as it stands")).to_be_visible()

    worker.publish(claim, 2, CHAMPION)
    worker.jobs.finish(claim, JobState.SUCCEEDED)
    expect(page.get_by_text("now champion")).to_be_visible()
    expect(page.get_by_text("Promoted: there was no champion.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)

    page.get_by_role("link", name="See it in the matrix").click()
    cell = page.get_by_role("link", name="glyphs-g1.3-2/1, Endpoint error 0.125")
    expect(cell).to_be_visible()


def test_several_step_counts_are_asked_for_at_once(visit: Visit, worker: Worker) -> None:
    job = start(visit, "3, 9,10")
    assert worker.jobs.get(job).spec.steps == (3, 9, 10)
    visit.page.get_by_role("button", name="Cancel").click()
    expect(visit.page.get_by_text("cancelled", exact=True).first).to_be_visible()
    assert worker.jobs.get(job).state is JobState.CANCELLED


def test_a_running_search_is_asked_to_keep_the_best(visit: Visit, worker: Worker) -> None:
    page = visit.page
    job = start(visit, "11")
    claim = worker.claim(job)
    worker.report(claim, 0.3, 5.0)
    page.get_by_role("button", name="Stop, keep the best").click()
    expect(page.get_by_text("It ends its descent")).to_be_visible()
    assert worker.jobs.stop_requested(claim)
    worker.jobs.finish(claim, JobState.FAILED, "the disk is full")
    expect(page.get_by_text("the disk is full")).to_be_visible()


def test_the_list_shows_how_searches_stand(visit: Visit, worker: Worker) -> None:
    page = visit.page
    job = start(visit, "12")
    claim = worker.claim(job)
    worker.report(claim, 0.5, 5.0)
    page.get_by_role("link", name="Searches").first.click()
    row = page.get_by_role("row", name="glyphs, 12 steps")
    expect(row).to_contain_text("descending")
    expect(row.get_by_role("progressbar")).to_have_attribute("value", "0.5")
    worker.jobs.finish(claim, JobState.SUCCEEDED)
    expect(row).to_contain_text("succeeded")


def test_what_the_server_refuses_is_said_at_the_form(visit: Visit) -> None:
    visit.open("#/searches")
    form = visit.page.get_by_role("form", name="A new search")
    form.get_by_label("Steps").fill("65")
    form.get_by_role("button", name="Start the search").click()
    expect(form.get_by_role("alert")).to_contain_text("steps")
    expect(form.get_by_role("button", name="Start the search")).to_be_enabled()
    assert all("422" in text for text in visit.complaints)
    visit.complaints.clear()
