"""Contrast, names and sizes of what a person sees and presses, measured in the browser in both themes.

With STANCHION_AXE set to a copy of axe.min.js, axe-core judges the pages as well.
"""

import os
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
)

_HERE = Path(__file__).parent
LOW_CONTRAST = (_HERE / "low_contrast.js").read_text()
BAD_CONTROLS = (_HERE / "bad_controls.js").read_text()


def make_rows(desk: Any) -> dict[str, Any]:
    """Return the numbers of what the pages show: an incident, a question and a runbook that is followed."""
    incident, question, execution = handle(desk)
    return {"order": desk["order"].pk, "incident": incident, "question": question, "execution": execution}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_and_controls_are_named_and_large_enough(
    screen: Any, desk: Any, watch: Any, scheme: str
) -> None:
    screen.emulate_media(color_scheme=scheme)
    problems = []
    rows = make_rows(desk)
    for address in PAGES:
        screen.goto(desk["url"] + address.format(**rows))
        problems += [(address, problem) for problem in screen.evaluate(LOW_CONTRAST) + screen.evaluate(BAD_CONTROLS)]
    watch.complaints = [text for text in watch.complaints if "404" not in text]

    assert problems == [], "\n".join(map(str, problems))


@pytest.mark.skipif("STANCHION_AXE" not in os.environ, reason="STANCHION_AXE does not name a copy of axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("address", PAGES)
def test_axe_finds_nothing(screen: Any, desk: Any, watch: Any, address: str, scheme: str) -> None:
    screen.emulate_media(color_scheme=scheme)
    screen.goto(desk["url"] + address.format(**make_rows(desk)))
    screen.evaluate(Path(os.environ["STANCHION_AXE"]).read_text())

    result = screen.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")

    watch.complaints.clear()  # axe-core itself writes styles into the page
    found = [(rule["id"], [node["target"] for node in rule["nodes"]][:4]) for rule in result["violations"]]
    assert found == []
