"""The matrix, and the page of a version."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.service.live import Live
from tests.service.searches import euler
from tests.service.web.browser import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def own(site: Live) -> str:
    """A name with two versions, the first of them champion."""
    with httpx.Client(base_url=site.url) as http:
        for shift in (0.0, 0.05):
            table = euler(2).as_dict()
            table["times"][1] += shift
            document = {"name": "own-2", "table": table, "note": "<b>by hand</b>"}
            assert http.post("/solvers", json=document).status_code == 201
        move = {"version": 1, "expected": None}
        assert http.put("/solvers/own-2/aliases/champion", json=move).status_code == 200
    return "own-2"


def test_the_matrix_leads_from_a_champion_to_its_evidence(visit: Visit) -> None:
    page = visit.page
    visit.open("#/solvers")
    matrix = page.get_by_role("region", name="Champions by model and steps")
    cell = matrix.get_by_role("link", name="glyphs-g1.3-4/1, Fréchet distance 19.3")
    expect(cell).to_contain_text("−70 %")
    cell.click()
    expect(page.get_by_role("heading", name="glyphs-g1.3-4/1", level=1)).to_be_focused()
    measurements = page.get_by_role("region", name="Measurements")
    expect(measurements.get_by_role("row", name="ab2")).to_contain_text("65.2")
    expect(page.get_by_role("definition").filter(has_text="dss-plus")).to_be_visible()


def test_where_there_is_no_champion_a_search_is_near(visit: Visit) -> None:
    page = visit.page
    visit.open("#/solvers")
    wanted = re.compile("search a better solver for 7 steps of glyphs$")
    page.get_by_role("link", name=wanted).click()
    expect(page.get_by_role("form", name="A new search").get_by_label("Steps")).to_have_value("7")


def test_what_serves_at_another_guidance_is_not_named_after_the_usual_one(
    visit: Visit, strong: str
) -> None:
    visit.open("#/solvers")
    matrix = visit.page.get_by_role("region", name="Champions by model and steps")
    for guidance, said in (("1.3", "flowdcn-b-256"), ("2.2", "best known")):
        row = matrix.get_by_role("row").filter(has_text=f"guidance {guidance}")
        cell = row.get_by_role("link", name="search a better solver for 7 steps")
        expect(cell).to_contain_text(said)


def test_weights_are_read_by_keyboard(visit: Visit) -> None:
    page = visit.page
    visit.open("#/solvers/glyphs-g1.3-4/1")
    heat = page.get_by_role("img", name="Weights of glyphs-g1.3-4/1")
    heat.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        heat.press(key)
    expect(page.get_by_text("Step 2 takes 0.3174 of prediction 2")).to_be_visible()


def test_two_versions_stand_side_by_side(visit: Visit) -> None:
    page = visit.page
    visit.open("#/solvers/glyphs-g1.3-6")
    page.get_by_label("Compare with another version").select_option("flowdcn-b-256-6/1")
    expect(page.get_by_role("heading", name="Weights of flowdcn-b-256-6/1")).to_be_visible()
    expect(page.get_by_role("heading", name="Weights of glyphs-g1.3-6/1")).to_be_visible()
    expect(page.get_by_role("img", name="Times.")).to_be_visible()


def test_a_version_is_promoted_and_rolled_back(visit: Visit, own: str, site: Live) -> None:
    page = visit.page
    visit.open(f"#/solvers/{own}/2")
    page.get_by_role("button", name="Make this the champion").click()
    page.get_by_role("dialog").get_by_label("Why").fill("<i>better</i>")
    page.get_by_role("button", name="Point it at version 2").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("<i>better</i>")).to_be_visible()  # text, and no markup
    assert site.services.store.aliases(own)["champion"] == 2

    page.get_by_label("Version", exact=True).select_option("1")
    page.get_by_role("button", name="Roll champion back to this").click()
    page.get_by_role("button", name="Point it at version 1").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Roll champion back to this")).to_have_count(0)
    assert site.services.store.aliases(own)["champion"] == 1


def test_an_alias_that_moved_meanwhile_is_not_moved(visit: Visit, own: str, site: Live) -> None:
    page, store = visit.page, site.services.store
    visit.open(f"#/solvers/{own}/2")
    page.get_by_role("button", name="Make this the faithful").click()
    store.promote(own, "faithful", 1, expected=None, by="somebody else")
    page.get_by_role("button", name="Point it at version 2").click()
    expect(page.get_by_role("alert")).to_contain_text("version 1")
    assert store.aliases(own)["faithful"] == 1
    assert all("409" in text for text in visit.complaints)
    visit.complaints.clear()


def test_what_is_not_there_says_so(visit: Visit) -> None:
    visit.open("#/solvers/nonesuch")
    expect(visit.page.get_by_role("alert")).to_contain_text("nonesuch")
    visit.complaints.clear()
    visit.open("#/nowhere")
    expect(visit.page.get_by_role("heading", name="There is nothing here")).to_be_visible()
