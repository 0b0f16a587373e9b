"""A real browser against the real pages; every request and every console line is kept."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reliability.conf import get_conf
from reliability.services.circuits.store import INDEX, connect
from tests.factories import (
    TEST_PASSWORD,
    make_account,
    make_dead_letter,
    make_lanes,
    make_order,
    make_process,
    make_user,
)

CHROMIUM = Path("/usr/bin/chromium")
_QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-sync",
]

# Playwright's loop is no reason for Django to refuse the ORM: no test of this folder is asynchronous.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing"))


@dataclass
class Watch:
    """What the browser asked for and complained about."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: "playwright.Page") -> None:
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: "playwright.ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    def off_machine(self, origin: str) -> list[str]:
        return [url for url in self.requests if not url.startswith((origin, "data:", "blob:"))]


@pytest.fixture(
    scope="module"
)  # no longer: Playwright keeps an event loop running, in which no other test could start one
def chromium() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=_QUIET)
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def page(chromium: "playwright.Browser", watch: Watch) -> Iterator["playwright.Page"]:
    context = chromium.new_context(viewport={"width": 1366, "height": 900})
    page = context.new_page()
    page.set_default_timeout(60_000)
    watch.follow(page)
    yield page
    context.close()


@pytest.fixture
def desk(live_server: Any) -> dict[str, Any]:
    """Rows that need attention, and a person who may act on them; circuits of earlier tests are gone."""
    with connect(get_conf().redis_url, 1.0) as client:
        client.delete(INDEX)
    make_lanes()
    person = make_user(name="night")
    type(person).objects.filter(pk=person.pk).update(is_superuser=True)
    account = make_account()
    make_process()
    return {
        "url": live_server.url,
        "person": person,
        "account": account,
        "order": make_order(account, person, state="accepted", symbol="TSLA"),
        "dead": [make_dead_letter() for _ in range(3)],
    }


@pytest.fixture
def screen(page: Any, desk: dict[str, Any]) -> Any:
    """The operator screen, reached through the login page."""
    page.goto(desk["url"] + "/")
    page.get_by_label("Username").fill("night")
    page.get_by_label("Password").fill(TEST_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(desk["url"] + "/")
    return page


@pytest.fixture(autouse=True)
def quiet(watch: Watch, live_server: Any) -> Iterator[None]:
    """No page asks for anything off this machine, and none breaks its own content policy."""
    yield
    assert watch.off_machine(live_server.url) == []
    assert watch.complaints == []
