"""Contrast, names and sizes of what a person sees and presses, on every page in both themes; and axe-core's verdict."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.browser.addresses import ADMIN, address_of, make_rows, page_routes

pytestmark = pytest.mark.django_db(transaction=True)

_HERE = Path(__file__).parent
LOW_CONTRAST = (_HERE / "low_contrast.js").read_text()
BAD_CONTROLS = (_HERE / "bad_controls.js").read_text()
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
TAGS = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
_AT_A_TIME = 7
# What others draw within a page of ours: the explorer of the API.
_NOT_OURS = "#swagger-ui"


def complaints(page: Any, where: str) -> list[Any]:
    """Return what is wrong with the page as it stands, in the light and in the dark.

    In the dark only what depends on colours is asked again.
    """
    found: list[Any] = []
    page.emulate_media(color_scheme="light")
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    for scheme, what in (("light", TAGS), ("dark", COLOURS)):
        page.emulate_media(color_scheme=scheme)
        page.evaluate("Promise.allSettled(document.getAnimations().map(one => one.finished))")  # colors take a moment
        result = page.evaluate(f"axe.run({{exclude: [['{_NOT_OURS}']]}}, {{runOnly: {what}}})")
        found += [
            (where, scheme, rule["id"], node["html"][:160], node["failureSummary"])
            for rule in result["violations"]
            for node in rule["nodes"][:3]
        ]
        if not page.locator(_NOT_OURS).count():
            found += [(where, scheme, problem) for problem in page.evaluate(LOW_CONTRAST)]
    if not page.locator(_NOT_OURS).count():
        found += [(where, problem) for problem in page.evaluate(BAD_CONTROLS)]
    return found


def some(routes: list[str]) -> list[list[str]]:
    """Return the routes a few at a time: each few are one test, and those stay quick on a busy machine."""
    return [routes[place : place + _AT_A_TIME] for place in range(0, len(routes), _AT_A_TIME)]


@pytest.mark.parametrize("routes", some([*page_routes(), "nowhere", *ADMIN]), ids=lambda few: few[0])
def test_every_page_can_be_seen_read_and_worked_by_everybody(
    screen: Any, desk: Any, watch: Any, routes: list[str]
) -> None:
    rows = make_rows(desk)
    found: list[Any] = []
    for route in routes:
        screen.emulate_media(color_scheme="light")
        screen.goto(desk["url"] + address_of(route, rows))
        found += complaints(screen, route)
    watch.complaints.clear()  # axe-core itself writes styles into the page, and one page is not there

    assert found == [], "\n".join(map(str, found))


def test_what_opens_over_a_page_and_within_it_as_well(screen: Any, desk: Any, watch: Any) -> None:
    """The help of the keys, the dialog that wants a name typed, and every form that is folded in."""
    make_rows(desk)
    screen.goto(desk["url"] + "/")
    screen.keyboard.press("?")
    screen.locator("dialog[data-keys][open]").wait_for()
    found = complaints(screen, "the help of the keys")
    screen.keyboard.press("Escape")

    screen.get_by_text("Stop an account, a broker or everything").click()
    screen.get_by_label("What to stop").select_option("account:desk")
    screen.locator("#stop-reason").fill("prices look wrong")
    screen.locator("#stop-reason").press("Enter")
    screen.locator("dialog[data-typed-dialog][open]").wait_for()
    screen.keyboard.type("account:des")
    screen.keyboard.press("Enter")
    screen.get_by_text("Type account:desk exactly.").wait_for()
    found += complaints(screen, "the dialog that wants a name typed")
    screen.keyboard.press("Escape")

    screen.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    found += complaints(screen, "with everything unfolded")
    watch.complaints.clear()

    assert found == [], "\n".join(map(str, found))
