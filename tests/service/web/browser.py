"""Chromium, as the distribution has it, and what every visit to the page is checked for."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_MS = 60_000  # for conditions: a busy machine draws slowly
DESKTOP, PHONE = (1280, 900), (390, 844)

AXE = Path(__file__).with_name("vendor") / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@dataclass
class Visit:
    """A page of its own, and what its console complained of."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, place: str) -> None:
        """Go to an address of the page, such as #/solvers."""
        self.page.goto(f"{self.url}/{place}")

    def assert_quiet(self) -> None:
        assert not self.complaints, "\n".join(self.complaints)

    def assert_accessible(self) -> None:
        """No finding of axe-core, in what is shown now."""
        self.page.evaluate(AXE.read_text())  # by the debugger: the page itself may not load it
        options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
        found: dict[str, Any] = self.page.evaluate("options => axe.run(options)", options)
        findings = [_told(violation) for violation in found["violations"]]
        assert not findings, "\n".join(findings)

    def assert_fits(self) -> None:
        """Nothing sticks out to the right."""
        surplus = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(surplus) == 0


def _told(violation: dict[str, Any]) -> str:
    places = [(node["html"][:160], node["failureSummary"]) for node in violation["nodes"][:3]]
    return f"{violation['id']}: {violation['help']}: {places}"


def find_chromium() -> str:
    """Its path; where there is none, a skip that says what to install, and in CI a failure."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        reason = "Chromium is not installed (Debian: chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def running_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Its sandbox needs rights that containers lack; all it loads is our own page.
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        expect.set_options(timeout=PATIENCE_MS)
        yield browser
        browser.close()


@contextmanager
def visiting(
    browser: Browser, url: str, size: tuple[int, int] = DESKTOP, scheme: Any = "light"
) -> Iterator[Visit]:
    """A window without a past."""
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE_MS)
    visit = Visit(context.new_page(), url)
    visit.page.on("console", lambda message: _listen(visit, message))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    yield visit
    context.close()


def _listen(visit: Visit, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        visit.complaints.append(message.text)
