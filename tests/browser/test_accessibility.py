"""Contrast, names and sizes of what a person sees and presses, measured in both themes; and axe-core's verdict."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_incidents import handle

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = (
    "/",
    "/orders/{order}",
    "/nowhere",
    "/admin/",
    "/admin/reliability/deadletter/",
    "/admin/reliability/circuit/",
    "/admin/reliability/errorguess/",
    "/admin/reliability/errorrule/add/",
    "/admin/brokers/order/{order}/change/",
    "/incidents",
    "/incidents/{incident}",
    "/interventions/{question}",
    "/runbooks/executions/{execution}",
    "/admin/reliability/incident/{incident}/change/",
    "/admin/reliability/alert/",
    "/admin/reliability/intervention/",
    "/admin/brokers/freeze/",
    "/admin/brokers/killswitch/",
    "/runbooks",
    "/runbooks/alert:stream.silent",
    "/reconciliation",
    "/recoveries",
    "/market-data",
    "/service-levels",
)

_HERE = Path(__file__).parent
LOW_CONTRAST = (_HERE / "low_contrast.js").read_text()
BAD_CONTROLS = (_HERE / "bad_controls.js").read_text()
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
COLOURS = ["color-contrast", "link-in-text-block"]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


def make_rows(desk: Any) -> dict[str, Any]:
    """Return the numbers of what the pages show: an incident, a question and a runbook that is followed."""
    incident, question, execution = handle(desk)
    return {"order": desk["order"].pk, "incident": incident, "question": question, "execution": execution}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_and_controls_are_named_and_large_enough(
    screen: Any, desk: Any, watch: Any, scheme: str
) -> None:
    screen.emulate_media(color_scheme=scheme)
    problems: list[Any] = []
    rows = make_rows(desk)
    for address in PAGES:
        screen.goto(desk["url"] + address.format(**rows))
        problems += [(address, problem) for problem in screen.evaluate(LOW_CONTRAST) + screen.evaluate(BAD_CONTROLS)]
    watch.complaints = [text for text in watch.complaints if "404" not in text]

    assert problems == [], "\n".join(map(str, problems))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(screen: Any, desk: Any, watch: Any, scheme: str) -> None:
    """In dark only what depends on colours is asked again."""
    what = {"type": "tag", "values": TAGS} if scheme == "light" else {"type": "rule", "values": COLOURS}
    screen.emulate_media(color_scheme=scheme)
    rows = make_rows(desk)
    found = []
    for address in PAGES:
        screen.goto(desk["url"] + address.format(**rows))
        screen.evaluate(AXE)
        result = screen.evaluate(f"axe.run({{runOnly: {what}}})")
        found += [
            (address, rule["id"], node["html"][:160], node["failureSummary"])
            for rule in result["violations"]
            for node in rule["nodes"][:3]
        ]
    watch.complaints.clear()  # axe-core itself writes styles into the page

    assert found == [], "\n".join(map(str, found))
