"""The playground, as people use it."""

import io
import json
import re
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from service.png import read_provenance
from tests.service.web.browser import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def wait_for_picture(page: Page) -> None:
    expect(page.get_by_role("status").filter(has_text="Drawn in")).to_be_visible()


def test_a_letter_is_drawn_step_by_step_and_can_be_kept(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    visit.open("")
    wait_for_picture(page)
    expect(page.get_by_role("img", name="A, drawn in 4 steps by glyphs-g1.3-4")).to_be_visible()

    page.get_by_role("radio", name="K").click()
    expect(page.get_by_role("img", name="K, drawn in 4 steps")).to_be_visible()
    expect(page).to_have_url(re.compile("class=20"))

    frames = page.get_by_role("list", name="The picture after each step").get_by_role("button")
    expect(frames).to_have_count(4)
    frames.first.click()
    expect(frames.first).to_have_attribute("aria-pressed", "true")

    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    file = tmp_path / "kept.png"
    download.value.save_as(file)
    assert download.value.suggested_filename == "K-4-steps-seed-3.png"
    provenance = read_provenance(file.read_bytes())
    assert (provenance.class_name, provenance.steps, provenance.seed) == ("K", 4, 3)
    assert Image.open(io.BytesIO(file.read_bytes())).size == (32, 32)


def test_the_best_known_solver_is_named_at_the_usual_guidance_alone(
    visit: Visit, strong: str
) -> None:
    page = visit.page
    visit.open("#/playground?class=10&steps=6")
    best = page.get_by_label("Solver", exact=True).locator('option[value="auto"]')
    expect(best).to_have_text("Best known: glyphs-g1.3-6")
    page.get_by_label("Guidance", exact=True).fill("2.2")
    page.get_by_label("Guidance", exact=True).press("Tab")
    expect(page.get_by_role("img", name=f"A, drawn in 6 steps by {strong}")).to_be_visible()
    expect(best).to_have_text("Best known")

    visit.open("#/playground?class=10&compare=auto:6")
    best = page.get_by_label("Solver 1", exact=True).locator('option[value="auto"]')
    expect(best).to_have_text("Best known: glyphs-g1.3-6")
    page.get_by_label("Guidance", exact=True).fill("2.2")
    page.get_by_label("Guidance", exact=True).press("Tab")
    expect(best).to_have_text("Best known")


def test_the_same_request_can_be_made_from_elsewhere(visit: Visit) -> None:
    page = visit.page
    visit.open("#/playground?class=7&steps=5&seed=11&solver=euler")
    wait_for_picture(page)
    page.get_by_text("Ask for it from elsewhere").click()
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("button", name="Copy as curl")).to_have_text("Copied")
    copied: str = page.evaluate("() => navigator.clipboard.readText()")
    assert f"{visit.url}/generate" in copied
    order = json.loads(re.findall(r"-d '(.*)'", copied)[0])
    assert order == {
        "model": "glyphs",
        "class_id": 7,
        "steps": 5,
        "solver": "euler",
        "guidance_scale": 1.3,
        "seed": 11,
    }
    python = page.get_by_role("region").or_(page.locator("pre")).filter(has_text="Order(")
    compile(python.inner_text(), "snippet", "exec")


def test_classes_are_picked_by_keyboard(visit: Visit) -> None:
    page = visit.page
    visit.open("#/playground?class=0")
    wait_for_picture(page)
    page.get_by_role("radio", name="0").focus()
    for key, chosen in (("ArrowRight", "1"), ("End", "Z"), ("q", "Q"), ("ArrowLeft", "P")):
        page.keyboard.press(key)
        expect(page.get_by_role("radio", name=chosen, exact=True)).to_be_focused()
        expect(page.get_by_role("radio", name=chosen, exact=True)).to_be_checked()
    expect(page.get_by_role("img", name="P, drawn in 4 steps")).to_be_visible()
    page.get_by_role("tab", name="Draw").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Compare")).to_be_focused()
    expect(page.get_by_role("heading", name="The same noise")).to_be_visible()


def test_classes_show_their_pictures(visit: Visit) -> None:
    visit.open("")
    wait_for_picture(visit.page)
    pictures = visit.page.get_by_role("radiogroup").locator("img")
    expect(pictures.nth(2)).to_be_visible()
    first = pictures.first.get_attribute("src")
    visit.page.reload()  # they are kept
    expect(visit.page.get_by_role("radio", name="0").locator("img")).to_have_attribute(
        "src", str(first)
    )


def test_four_steps_of_euler_and_of_the_champion_are_seen_side_by_side(visit: Visit) -> None:
    page = visit.page
    visit.open("#/playground?class=10&compare=euler:4,auto:4")
    figures = page.get_by_role("figure")
    expect(figures).to_have_count(3)
    expect(figures.nth(2)).to_contain_text("Converged")
    expect(page.get_by_text("The difference is the root mean square")).to_be_visible()
    euler, champion = (float(figures.nth(i).locator("dd").last.inner_text()) for i in (0, 1))
    assert champion < euler / 2
    expect(figures.nth(1)).to_contain_text("glyphs-g1.3-4/1")

    page.get_by_label("Show the difference").check()
    expect(page.get_by_role("img", name="Where euler differs")).to_be_visible()

    page.get_by_role("button", name="Add a solver").click()
    page.get_by_label("Steps of solver 3").fill("6")
    page.get_by_label("Steps of solver 3").press("Tab")
    expect(page).to_have_url(re.compile("auto%3A6"))
    expect(figures).to_have_count(4)
    expect(page.get_by_text("The difference is the root mean square")).to_be_visible()
    page.get_by_role("button", name="Remove solver 3").click()
    expect(figures).to_have_count(3)


def test_the_strip_goes_from_3_to_20_steps_and_can_be_stopped(visit: Visit) -> None:
    page = visit.page
    visit.open("#/playground?class=10&compare=euler:4")
    expect(page.get_by_text("The difference is the root mean square")).to_be_visible()
    page.get_by_role("button", name="Draw them all").click()
    strip = page.get_by_role("region", name="Pictures by solver and steps")
    expect(strip.get_by_role("columnheader")).to_have_count(18)
    expect(strip.get_by_role("img", name="euler, 5 steps")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(strip.get_by_role("img", name="euler, 20 steps")).to_have_count(0)


def test_what_cannot_be_drawn_says_why(visit: Visit) -> None:
    visit.open("#/playground?class=10&steps=5&solver=nonesuch")
    expect(visit.page.get_by_role("alert")).to_contain_text("solver: ")
    expect(visit.page.locator(".easel[aria-busy]")).to_have_count(0)
    # The browser itself writes the refused request down, and nothing else went wrong.
    assert all("422" in text or "404" in text for text in visit.complaints)
    visit.complaints.clear()


def test_what_fails_while_it_is_drawn_says_which_rule_was_broken(visit: Visit) -> None:
    problem = {
        "title": "Request refused",
        "detail": "see errors",
        "status": 422,
        "errors": [{"field": "seed", "rule": "must be even"}],
    }

    def fail(route: Route) -> None:
        if "text/event-stream" not in route.request.headers["accept"]:
            return route.continue_()  # the picture of a class
        data = json.dumps({"problem": problem})
        body = f"event: error\ndata: {data}\n\n"
        return route.fulfill(body=body, content_type="text/event-stream")

    visit.page.route("**/generate", fail)
    visit.open("#/playground?class=10&steps=5")
    expect(visit.page.get_by_role("alert")).to_contain_text("seed: must be even")
    expect(visit.page.locator(".easel[aria-busy]")).to_have_count(0)


def test_an_address_with_nonsense_in_it_shows_the_usual(visit: Visit) -> None:
    visit.open("#/playground?class=99&steps=minus&seed=&model=none")
    wait_for_picture(visit.page)
    expect(visit.page.get_by_role("img", name="Z, drawn in 4 steps")).to_be_visible()


def test_a_model_that_is_not_loaded_can_be_and_no_other_takes_its_place(visit: Visit) -> None:
    page = visit.page
    visit.open("#/playground?model=glyphs-ddpm&class=10&steps=3")
    expect(page.get_by_text("glyphs-ddpm is not loaded.")).to_be_visible()
    visit.assert_accessible()
    page.get_by_role("button", name="Load glyphs-ddpm").click()
    wait_for_picture(page)
    expect(page.get_by_role("img", name="A, drawn in 3 steps by glyphs-ddpm")).to_be_visible()
    httpx.delete(f"{visit.url}/models/glyphs-ddpm/residency", timeout=60).raise_for_status()


def test_a_thousand_classes_have_a_square_each(visit: Visit) -> None:
    def many(route: Route) -> None:
        answer = route.fetch()
        models = answer.json()
        for model in models["models"]:
            model["classes"] = [f"kind {n // 2}" for n in range(1000)]
        route.fulfill(response=answer, json=models)

    page = visit.page
    page.route("**/models", many)
    visit.open("#/playground?class=22&steps=4")
    tile = page.get_by_role("radio", name="kind 11 (22)", exact=True)
    expect(tile).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") == 0
    width, height = tile.evaluate("tile => [tile.offsetWidth, tile.offsetHeight]")
    assert height == pytest.approx(width, abs=1)
    below = page.locator(".classes button").nth(100)
    assert below.evaluate("tile => tile.offsetTop") > tile.evaluate("tile => tile.offsetTop")
    page.get_by_role("searchbox", name="Find a class").fill("kind 499")
    expect(page.get_by_role("radio")).to_have_count(2)
    page.get_by_role("searchbox", name="Find a class").fill("")
    expect(tile).to_be_in_viewport(ratio=1)
    visit.assert_accessible()
    page.unroute_all(behavior="ignoreErrors")
