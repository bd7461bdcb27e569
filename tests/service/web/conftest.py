"""One browser and one server with the bundled model for the tests of a file.

Not for the whole session: while Playwright runs, the thread has an event loop that others must not
find running.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from service.settings import Settings
from tests.service.live import Live, running
from tests.service.web.browser import Visit, running_browser, visiting


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with running(settings_for(tmp_path_factory.mktemp("site"))) as live:
        yield live


@pytest.fixture
def visit(browser: Browser, site: Live) -> Iterator[Visit]:
    """A window on the page; nothing may be wrong with it at the end."""
    with visiting(browser, site.url) as visit:
        yield visit
        visit.assert_quiet()


def settings_for(home: Path, port: int = 0) -> Settings:
    """The bundled model, without workers: tests do their work themselves."""
    return Settings(
        home=home,
        models=("glyphs",),
        device="cpu",
        threads=1,
        max_rows=8,
        port=port,
        workers=0,
    )
