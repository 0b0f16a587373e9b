"""A recovery on its own page and on the operator screen, in a browser."""

from typing import Any

import pytest

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Account, Freeze
from brokers.services.freezes import freeze_trading
from reconciliation.models import RecoveryRun
from reconciliation.services.recovery import request_recovery
from tests.browser.test_kill_switch import fits, shoot

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_recovery_and_its_freeze_are_on_the_screen_and_another_is_begun_from_its_page(screen: Any, desk: Any) -> None:
    account = Account.objects.get(name="desk")
    run_id = request_recovery(account.pk, trigger="stream_returned", by="watch", reason="the stream is back")
    scope = parse_freeze_scope("account:desk/symbol:AAPL")
    freeze_trading(scope, FreezeMode.HALT, FreezeCause.OVERFILL, reason="11 of 10 filled", by="fills")
    screen.goto(desk["url"] + "/")
    screen.get_by_text("No order is sent: account:desk/symbol:AAPL").first.wait_for()
    assert "desk is being recovered: 0 of 12 steps" in screen.locator("main").inner_text()
    assert fits(screen)
    shoot(screen, "frozen")

    screen.goto(desk["url"] + f"/recoveries/{run_id}")
    screen.get_by_text("unknown orders").first.wait_for()
    assert fits(screen)
    shoot(screen, "recovery")
    screen.set_viewport_size({"width": 390, "height": 844})
    assert fits(screen)
    screen.set_viewport_size({"width": 1280, "height": 900})

    screen.get_by_text("Begin another run of desk").click()
    screen.locator("#recovery-reason").fill("not sure")
    screen.get_by_role("button", name="Recover desk").click()
    screen.get_by_text("of desk has begun").first.wait_for()
    shoot(screen, "recoveries")
    assert fits(screen)
    assert RecoveryRun.objects.get(pk=run_id).state == "superseded"

    screen.goto(desk["url"] + "/")
    screen.get_by_text("Ask for the release").first.click()
    freeze = Freeze.objects.get(cause="overfill")
    screen.locator(f"#freeze-reason-{freeze.pk}").fill("the broker confirmed it")
    screen.get_by_role("button", name="Ask for the release of account:desk/symbol:AAPL").click()
    screen.get_by_text("another person confirms it").first.wait_for()
    freeze.refresh_from_db()
    assert freeze.release_wanted_by == "night"
