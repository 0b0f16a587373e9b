"""What a person on duty sees and does about circuits, by a browser."""

from typing import Any

import pytest

from reliability.conf import get_conf
from reliability.core.breaker import BreakerSettings, PinnedState
from reliability.models import Circuit
from reliability.services import circuits
from reliability.services.circuit_changes import pin_circuit
from reliability.services.circuits.store import INDEX, connect
from reliability.services.degradation import declare

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("sim-a:orders", "sim-a:reads", "sim-b:orders", "sim-b:reads")


@pytest.fixture
def broken(desk: dict[str, Any]) -> None:
    """One circuit that opened, one that a person pinned, two that are well."""
    with connect(get_conf().redis_url, 1.0) as client:
        client.sadd(INDEX, *NAMES)
    declare("new orders", "orders", "accepted and queued until the circuit closes")
    for name in NAMES:
        circuits.configure(name, BreakerSettings(), 1)
        circuits.unpin(name)
        circuits.reset(name)
        Circuit.objects.create(name=name)
    for _ in range(5):
        with pytest.raises(OSError, match="refused"):
            circuits.get_circuit("sim-a:orders").call(_refuse)
    pin_circuit("sim-b:reads", PinnedState.METRICS_ONLY, minutes=45, actor="night", reason="their status page is wrong")


def _refuse() -> None:
    raise OSError("connection refused")


@pytest.fixture
def shown(broken: None, screen: Any) -> Any:
    return screen


def row(screen: Any, name: str) -> Any:
    return screen.locator(f'[id="circuit-{name.replace(":", "%3A")}"]')


def test_what_is_broken_is_said_first(shown):
    banner = shown.locator(".degraded")

    assert "Running with less than usual" in banner.inner_text()
    assert "accepted and queued until the circuit closes" in banner.inner_text()
    assert "open" in row(shown, "sim-a:orders").inner_text()
    assert "5 of 5" in row(shown, "sim-a:orders").inner_text()
    assert "by night until" in row(shown, "sim-b:reads").inner_text()
    assert shown.locator("#circuits").inner_text().split() == ["Circuits", "4"]


def test_the_cooldown_counts_down(shown):
    left = row(shown, "sim-a:orders").locator("time[data-until]")
    before = left.inner_text()

    shown.wait_for_function(
        "([text, id]) => document.getElementById(id).querySelector('time[data-until]').textContent !== text",
        arg=[before, "circuit-sim-a%3Aorders"],
    )

    assert int(left.inner_text().split()[0]) < int(before.split()[0])


def test_a_circuit_is_pinned_and_unpinned_on_the_screen(shown):
    line = row(shown, "sim-b:orders")
    line.locator("summary").click()
    line.get_by_label("Reason").fill("maintenance until noon")
    line.get_by_label("Minutes").fill("30")
    line.get_by_role("button", name="Pin", exact=True).click()
    shown.get_by_text("The circuit sim-b:orders is pinned forced open for 30 minutes.").wait_for()
    assert "forced open" in row(shown, "sim-b:orders").inner_text()

    line = row(shown, "sim-b:orders")
    line.locator("summary").click()
    line.get_by_label("Reason").fill("they are back")
    line.get_by_role("button", name="Unpin").click()
    shown.get_by_text("The circuit sim-b:orders is not pinned any more.").wait_for()
    assert "half open" in row(shown, "sim-b:orders").inner_text()


def test_it_fits_a_telephone(shown):
    shown.set_viewport_size({"width": 390, "height": 844})

    assert shown.evaluate("document.documentElement.scrollWidth") <= 390
    assert shown.locator(".degraded").is_visible()


def test_the_admin_shows_them_too(shown, desk):
    shown.goto(desk["url"] + "/admin/reliability/circuit/")
    assert "metrics only" in shown.locator("#result_list").inner_text()
    shown.get_by_role("link", name="sim-a:orders").click()
    assert shown.get_by_label("Failure threshold").input_value() == "5"
