"""The health view, and how the page reads what Prometheus reads."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from diffusion_core.folders import BUNDLED_MODELS
from diffusion_core.model import find_models
from diffusion_core.quality import load_judge
from service.fid_proxy.gauges import FidGauges
from service.fid_proxy.proxy import FidProxy
from service.fid_proxy.register import Standing
from service.fid_proxy.samples import Reading, Series, Source
from tests.fakes import write_tiny_model
from tests.service.live import Live
from tests.service.web.browser import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]


SERIES = Series("glyphs", 'a "name"', 4, Source.LIVE)


@contextmanager
def told(site: Live, standing: Standing) -> Iterator[None]:
    """One series more in the server's metrics, as a proxy of its own tells it."""
    proxy, registry = FidProxy(), site.services.metrics.registry
    proxy.watch(site.services.models["glyphs"], load_judge(find_models(BUNDLED_MODELS)["glyphs"]))
    proxy._register.standings = {SERIES: standing}
    gauges = FidGauges(proxy, lambda: None)
    registry.register(gauges)
    try:
        yield
    finally:
        registry.unregister(gauges)


def told_row(page: Page) -> Locator:
    region = page.get_by_role("region", name="Quality of what is served")
    return region.get_by_role("row").filter(has_text="name")


def test_latency_throughput_and_queue_are_shown(visit: Visit, site: Live) -> None:
    page = visit.page
    visit.open("#/health")
    expect(page.get_by_text("No request for images yet")).to_be_visible()
    with httpx.Client(base_url=site.url, timeout=60) as http:
        http.post("/generate", json={"class_id": 1, "steps": 2})
    row = page.get_by_role("row", name="glyphs ok")
    expect(row).to_contain_text("1")
    expect(page.get_by_role("row").filter(has_text="live")).to_contain_text("of at least 256")
    expect(page.get_by_role("row", name="timeout")).to_have_count(0)
    expect(page.get_by_text("last 30 s").first).to_be_visible()
    expect(page.get_by_role("img", name="Images per second")).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text="ready")).to_be_visible()


@pytest.mark.parametrize("started_at", [2_000, 1_000], ids=["said", "not said"])
def test_rates_begin_anew_with_the_server(visit: Visit, started_at: int) -> None:
    """Where the platform does not say when the process started, its counters have fallen."""
    page = visit.page
    counts = {"fewstep_images_total": 5_000, "process_start_time_seconds": 1_000}

    def tell(route: Route) -> None:
        route.fulfill(body="".join(f"{name} {value}\n" for name, value in counts.items()))

    page.route("**/metrics", tell)
    visit.open("#/health")
    tiles = page.locator("dl.tiles > div")
    expect(tiles.filter(has_text="Images made")).to_contain_text("5,000")
    counts |= {"fewstep_images_total": 7, "process_start_time_seconds": started_at}
    expect(tiles.filter(has_text="Images made")).to_have_text("Images made7")
    assert tiles.filter(has_text="Throughput").inner_text().split() == [
        "Throughput",
        "0",
        "images/s",
    ]


def test_a_model_is_loaded_and_unloaded(visit: Visit, site: Live) -> None:
    page = visit.page
    write_tiny_model(site.services.settings.home / "models", "spare")
    visit.open("#/health")
    row = page.get_by_role("region", name="Models").get_by_role("row", name="spare")
    expect(row).to_contain_text("at hand")
    page.get_by_role("button", name="Load spare").click()
    expect(row).to_contain_text("loaded")
    page.get_by_role("button", name="Unload spare").click()
    expect(row).to_contain_text("at hand")


def test_the_quality_of_what_is_served_is_shown_where_it_is_known(visit: Visit, site: Live) -> None:
    standing = Standing(("weights", "table"), time.monotonic(), 4321, Reading(21.5, 3.25))
    with told(site, standing):
        visit.open("#/health")
        expect(told_row(visit.page)).to_contain_text("21.5 ± 3.3")
        expect(told_row(visit.page)).to_contain_text("4,321")


def test_how_many_pictures_are_missing_for_a_distance_is_shown(visit: Visit, site: Live) -> None:
    with told(site, Standing(("weights", "table"), time.monotonic(), 122)):
        visit.open("#/health")
        expect(told_row(visit.page)).to_contain_text("122 of at least 256 pictures")


def test_where_no_model_has_a_judge_that_is_said(
    visit: Visit, site: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.services.fid_proxy, "_observatories", {})
    visit.open("#/health")
    expect(visit.page.get_by_text("No loaded model comes with a judge")).to_be_visible()


def test_quantiles_are_those_of_prometheus(visit: Visit) -> None:
    visit.open("#/health")
    place = visit.page.locator('script[type="module"]').get_attribute("src")
    found = visit.page.evaluate(
        """async (place) => {
            const { buckets, parse, quantile, since } = await import(place);
            const lines = (a, b, c) => `# HELP x\\nx_bucket{le="0.1",m="\\\\"q\\\\""} ${a}
x_bucket{le="1.0",m="n"} ${b}\\nx_bucket{le="+Inf",m="n"} ${c}`;
            const now = buckets(parse(lines(2, 6, 8)), "x");
            const before = buckets(parse(lines(2, 2, 2)), "x");
            const later = since(now, before);
            const none = since(now, now);
            return [now, quantile(now, 0.5), quantile(now, 0.99), quantile(later, 0.25),
                    quantile(none, 0.5)];
        }""",
        f"{visit.url}/{str(place).replace('app.js', 'exposition.js')}",
    )
    counts, median, tail, later, none = found
    assert counts[:2] == [[0.1, 2], [1, 6]]
    assert median == pytest.approx(0.1 + 0.9 * (4 - 2) / (6 - 2))
    assert tail == 1  # beyond the last bound nothing is known
    assert later == pytest.approx(0.1 + 0.9 * 1.5 / 4)
    assert none is None
