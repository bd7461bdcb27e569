"""The health view, and how the page reads what Prometheus reads."""

import httpx
import pytest
from playwright.sync_api import expect
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from tests.fakes import write_tiny_model
from tests.service.live import Live
from tests.service.web.browser import Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Proxy(Collector):
    """The streaming Fréchet distance, as a server exports it that keeps one."""

    def collect(self) -> list[GaugeMetricFamily]:
        labels = ("model", "solver", "steps", "source")
        families = []
        for name, value in (("fewstep_fid_proxy", 21.5), ("fewstep_fid_proxy_samples", 4321)):
            family = GaugeMetricFamily(name, name, labels=labels)
            family.add_metric(("glyphs", 'a "name"', "4", "served"), value)
            families.append(family)
        return families


def test_latency_throughput_and_queue_are_shown(visit: Visit, site: Live) -> None:
    page = visit.page
    visit.open("#/health")
    expect(page.get_by_text("fewstep_fid_proxy")).to_be_visible()
    with httpx.Client(base_url=site.url, timeout=60) as http:
        http.post("/generate", json={"class_id": 1, "steps": 2})
    row = page.get_by_role("row", name="glyphs ok")
    expect(row).to_contain_text("1")
    expect(page.get_by_text("last 30 s").first).to_be_visible()
    expect(page.get_by_role("img", name="Images per second")).to_be_visible()
    expect(page.get_by_role("definition").filter(has_text="ready")).to_be_visible()


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
    registry, proxy = site.services.metrics.registry, Proxy()
    registry.register(proxy)
    try:
        visit.open("#/health")
        row = visit.page.get_by_role("region", name="Quality of what is served").get_by_role("row")
        expect(row.last).to_contain_text("21.5")
        expect(row.last).to_contain_text("4,321")
    finally:
        registry.unregister(proxy)


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
