"""Every view in both schemes and on a phone: quiet, accessible, and nothing sticks out.

FEWSTEP_SCREENSHOTS=folder keeps pictures of all of them, to be looked at.
"""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from search_jobs.spec import JobState
from tests.service.live import Live
from tests.service.searches import Worker
from tests.service.web.browser import DESKTOP, PHONE, visiting

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Where each view lies, and what is there when all of it is.
VIEWS = {
    "draw": ("#/playground", "Drawn in"),
    "compare": ("#/playground?compare=euler:4,ab2:4,auto:4", "The difference is"),
    "solvers": ("#/solvers", "Classical"),
    "solver": ("#/solvers/glyphs-g1.3-4/1", "Where it comes from"),
    "two-solvers": ("#/solvers/glyphs-g1.3-6/1?against=flowdcn-b-256-6/1", "Where it comes from"),
    "searches": ("#/searches", "took"),
    "search-running": ("#/searches/{running}", "descending"),
    "search-over": ("#/searches/{over}", "now trial"),
    "health": ("#/health", "Throughput"),
    "nothing": ("#/nonesuch", "There is nothing here"),
}
LOOKS = {
    "light": {"size": DESKTOP, "scheme": "light"},
    "dark": {"size": DESKTOP, "scheme": "dark"},
    "phone": {"size": PHONE, "scheme": "light"},
}


@pytest.fixture(scope="module")
def jobs(site: Live) -> dict[str, str]:
    """A search under way and one that is over, by what they are called above."""
    worker = Worker(site.services)
    with httpx.Client(base_url=site.url) as http:
        ids = [http.post("/search-jobs", json={"steps": 2}).json()["id"] for _ in range(2)]
    running, over = (worker.claim(job) for job in ids)
    for i in range(1, 20):
        worker.report(running, i / 30, 40 / (i + 4))
    worker.report(over, 0.5, 1.0)
    worker.publish(over, 2, "trial")
    worker.jobs.finish(over, JobState.SUCCEEDED)
    return {"running": running.job_id, "over": over.job_id}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("view", VIEWS)
def test_views_are_accessible_and_fit(
    browser: Browser, site: Live, jobs: dict[str, str], view: str, look: str
) -> None:
    place, sign = VIEWS[view]
    how: Any = LOOKS[look]
    with visiting(browser, site.url, **how) as visit:
        visit.open(place.format(**jobs))
        expect(visit.page.get_by_text(sign).first).to_be_visible()
        visit.assert_quiet()
        visit.assert_fits()
        if look != "phone":  # the same elements, elsewhere
            visit.assert_accessible()
        visit.assert_quiet()
        folder = os.environ.get("FEWSTEP_SCREENSHOTS")
        if folder:
            visit.page.screenshot(path=Path(folder) / f"{view}-{look}.png", full_page=True)
