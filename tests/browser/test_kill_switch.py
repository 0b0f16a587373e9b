"""Stopping trading and deciding on an unknown order, in a browser."""

import os
from typing import Any

import pytest

from brokers.models import Account, KillSwitch, Order
from brokers.services.accounts import forget_accounts
from brokers.services.halts import forget_halts
from brokers.services.kill_switch import request_release
from reliability.models import Job
from tests.factories import make_order, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def shoot(page: Any, name: str) -> None:
    if os.environ.get("STANCHION_SHOTS"):
        page.screenshot(path=f"{os.environ['STANCHION_SHOTS']}/{name}.png", full_page=True)


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.fixture(autouse=True)
def fresh() -> Any:
    forget_accounts()
    yield
    forget_accounts()
    forget_halts()


def test_trading_is_stopped_from_the_screen_and_released_by_a_second_person(screen: Any, desk: Any) -> None:
    make_user("brokers.release_kill_switch", name="day")
    screen.get_by_text("Stop an account, a broker or everything").click()
    screen.get_by_label("What to stop").select_option("account:desk")
    screen.locator("#stop-reason").fill("prices look wrong")
    screen.locator("#stop-reason").press("Enter")
    screen.get_by_label("Type account:desk to go on").wait_for()
    assert screen.evaluate("document.activeElement.id") == "typed-answer", "the dialog has the keyboard"
    shoot(screen, "typed")
    screen.keyboard.type("account:des")
    screen.keyboard.press("Enter")
    screen.get_by_text("Type account:desk exactly.").wait_for()
    screen.keyboard.press("Escape")
    screen.get_by_label("Type account:desk to go on").wait_for(state="hidden")
    assert not KillSwitch.objects.exists()
    screen.get_by_role("button", name="Stop trading").click()
    screen.keyboard.type("account:desk")
    screen.keyboard.press("Enter")

    screen.get_by_text("Trading is stopped: account:desk").first.wait_for()
    assert "night: prices look wrong" in screen.locator("main").inner_text()
    assert "1 done" in screen.locator("main").inner_text(), "the accepted order was canceled"
    assert fits(screen)
    shoot(screen, "halted")
    screen.set_viewport_size({"width": 390, "height": 844})
    assert fits(screen)
    shoot(screen, "halted-390")

    request_release(KillSwitch.objects.get().pk, by="day", reason="feed is back")
    screen.reload()
    screen.get_by_role("button", name="Confirm the release of account:desk").click()
    screen.keyboard.type("account:desk")
    screen.keyboard.press("Enter")
    screen.get_by_text("New orders are accepted.").wait_for()
    assert KillSwitch.objects.get().released_by == "night"


def test_trading_is_stopped_and_its_release_asked_for_in_admin(screen: Any, desk: Any) -> None:
    screen.goto(desk["url"] + "/admin/brokers/killswitch/add/")
    screen.get_by_label("Scope").select_option("global")
    screen.get_by_label("Reason").fill("drill")
    screen.get_by_label("Its name once more").fill("everything")
    screen.get_by_role("button", name="Save", exact=True).click()
    screen.get_by_text("Type global to go on.").wait_for()
    screen.get_by_label("Its name once more").fill("global")
    shoot(screen, "engage")
    screen.get_by_role("button", name="Save", exact=True).click()
    screen.get_by_text("Trading is stopped: global.").wait_for()

    screen.locator("input.action-select").check()
    screen.locator("select[name=action]").select_option("ask_for_release")
    screen.get_by_role("button", name="Go").click()
    screen.get_by_label("Reason").fill("over")
    screen.get_by_label("Their scopes").fill("global")
    screen.get_by_role("button", name="Do it for 1").click()
    screen.get_by_text("Done: ask for release").wait_for()
    assert KillSwitch.objects.get().release_wanted_by == "night"
    screen.goto(f"{desk['url']}/admin/brokers/killswitch/{KillSwitch.objects.get().pk}/change/")
    assert "release_wanted" in screen.locator("main").inner_text()
    shoot(screen, "switch")


@pytest.fixture
def unknown(desk: Any) -> Order:
    account = Account.objects.get(name="desk")
    order = make_order(account, desk["person"], state="unknown", lookup_misses=2)
    Job.objects.create(kind="orders.submit", lane="orders", subject=order.pk, state="dead", error_code="TIMEOUT_READ")
    return order


def test_an_unknown_order_is_decided_with_its_evidence_on_one_page(screen: Any, desk: Any, unknown: Order) -> None:
    screen.goto(f"{desk['url']}/admin/brokers/order/{unknown.pk}/change/")
    screen.get_by_role("link", name="Evidence and decision").click()
    text = screen.locator("main").inner_text()
    for part in (unknown.client_order_id, "Clean misses", "TIMEOUT_READ", "dedupes client order id", "Order stream"):
        assert part in text
    shoot(screen, "decide")
    screen.set_viewport_size({"width": 390, "height": 844})
    shoot(screen, "decide-390")
    assert screen.evaluate("document.querySelector('form.decide').getBoundingClientRect().right <= window.innerWidth")

    screen.get_by_label("Reason to ask again").fill("their status page is green")
    screen.get_by_role("button", name="Look again now").click()
    screen.get_by_text("The broker is asked for it now").wait_for()
    screen.get_by_label("Reason it never arrived").fill("their desk says so")
    screen.get_by_role("button", name="It never reached the broker: end it").click()
    screen.get_by_text("Another person confirms it.").wait_for()

    unknown.refresh_from_db()
    assert unknown.state == "unknown", "one person proposes, another one decides"
