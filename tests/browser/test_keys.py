"""The operator screen and the lists worked with the keyboard alone."""

from typing import Any

import pytest

from reliability.models import Alert
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alerting import raise_alert, resolve_alert

pytestmark = pytest.mark.django_db(transaction=True)

CIRCUITS = ("sim-a:orders", "sim-a:reads", "sim-b:orders")


@pytest.fixture
def alerts(screen: Any) -> list[Alert]:
    for name in CIRCUITS:
        raise_alert("circuit.opened", f"circuit:{name}", message=f"The circuit {name} opened.")
    keep_alerts()
    screen.reload()
    return list(Alert.objects.order_by("pk"))


def focused_row(page: Any) -> str:
    return str(page.evaluate("document.activeElement.closest('tr')?.id ?? ''"))


def walk_to(page: Any, row: str) -> None:
    for _ in range(60):
        if focused_row(page) == row:
            return
        page.keyboard.press("j")
    raise AssertionError(f"{row} was not reached")


def test_rows_are_walked_opened_and_acknowledged(screen: Any, desk: Any, alerts: list[Alert]) -> None:
    walk_to(screen, f"alert-{alerts[1].pk}")
    screen.keyboard.press("j")
    screen.keyboard.press("k")
    assert focused_row(screen) == f"alert-{alerts[1].pk}"
    screen.keyboard.press("a")
    screen.get_by_text("1 alert acknowledged").wait_for()
    assert Alert.objects.get(pk=alerts[1].pk).acknowledged_by == "night"
    assert Alert.objects.filter(state="acknowledged").count() == 1

    incident = f"incident-{alerts[1].incident_id}"
    walk_to(screen, incident)
    screen.keyboard.press("Enter")
    screen.wait_for_url(f"{desk['url']}/incidents/{alerts[1].incident_id}")


def test_what_is_focused_stays_so_and_what_took_its_place_is_next(screen: Any, alerts: list[Alert]) -> None:
    row = f"alert-{alerts[1].pk}"
    walk_to(screen, row)
    raise_alert("lane.late", "lane:orders", message="The lane orders is paused.")
    keep_alerts()
    screen.get_by_text("lane:orders").first.wait_for()
    assert focused_row(screen) == row

    resolve_alert("circuit.opened", f"circuit:{CIRCUITS[1]}", reason="closed")
    Alert.objects.filter(pk=alerts[1].pk).update(state="resolved", resolved_at=alerts[1].raised_at, clears_at=None)
    screen.locator(f"#{row}").wait_for(state="detached")
    screen.wait_for_function("document.activeElement.closest('tr') !== null")
    assert focused_row(screen).startswith("alert-")


def test_the_keys_are_told_and_can_be_switched_off(screen: Any, alerts: list[Alert]) -> None:
    screen.keyboard.press("?")
    dialog = screen.get_by_role("dialog", name="Keys")
    assert "acknowledge it" in dialog.inner_text()
    screen.keyboard.press("Escape")
    dialog.wait_for(state="hidden")

    screen.get_by_role("button", name="Keys").click()
    screen.get_by_role("button", name="Switch single keys off").click()
    screen.get_by_role("button", name="Close").click()
    screen.keyboard.press("j")
    assert focused_row(screen) == ""
    screen.evaluate("localStorage.clear()")


def test_letters_that_are_typed_do_nothing(screen: Any, alerts: list[Alert]) -> None:
    screen.locator("#dead-letter-reason").type("jackal?")
    assert screen.locator("#dead-letter-reason").input_value() == "jackal?"
    assert Alert.objects.filter(state="acknowledged").count() == 0


def test_dead_letters_are_chosen_and_lists_of_admin_walked(screen: Any, desk: Any) -> None:
    walk_to(screen, f"dead-{desk['dead'][1].pk}")
    screen.keyboard.press("x")
    assert screen.get_by_label(f"Choose job {desk['dead'][1].pk}").is_checked()

    screen.goto(desk["url"] + "/admin/reliability/deadletter/")
    screen.keyboard.press("j")
    screen.keyboard.press("j")
    screen.keyboard.press("x")
    assert screen.locator("#result_list input:checked").count() == 1
    screen.keyboard.press("Enter")
    screen.wait_for_url("**/deadletter/*/change/")
