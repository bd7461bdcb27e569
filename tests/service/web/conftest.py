"""One browser and one server with the bundled model for the tests of a file.

Not for the whole session: while Playwright runs, the thread has an event loop that others must not
find running.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from service.settings import Settings
from solver_store.records import CHAMPION, Target
from tests.service.live import Live, running
from tests.service.searches import euler
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


@pytest.fixture(scope="module")
def strong(site: Live) -> str:
    """The name of a champion of 6 steps for guidance 2.2, which is not the model's usual one."""
    target = Target("glyphs", 2.2)
    name, store = target.solver_name(6), site.services.store
    store.publish(name, euler(6), source={"kind": "test"}, target=target)
    store.promote(name, CHAMPION, 1, expected=None, by="test")
    site.services.selector.refresh()
    return name


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
