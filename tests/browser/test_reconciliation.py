"""A reconciliation, asked for with a button and watched until it is over, in a browser."""

import threading
from typing import Any

import pytest
from django.db import connections

from brokers.adapters import registry
from brokers.models import Account, Broker
from brokers.services.accounts import forget_accounts
from reconciliation.models import ReconciliationRun
from tests.fakes import FakeBroker, make_due, run_due

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, desk: dict[str, Any], fresh_accounts: None) -> FakeBroker:
    broker = FakeBroker()
    monkeypatch.setitem(registry._ADAPTERS, broker.name, broker)
    Broker.objects.filter(pk=Account.objects.get(name="desk").broker_id).update(adapter=broker.name)
    forget_accounts()
    return broker


def carry_out() -> None:
    """Run the jobs in a thread: Playwright's loop runs in this one."""

    def work() -> None:
        for _ in range(20):
            make_due(kind="reconciliation.run")
            run_due("recovery")
            if ReconciliationRun.objects.get().finished_at is not None:
                break
        connections.close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_a_reconciliation_is_asked_for_and_watched_until_it_is_over(screen: Any, desk: Any, fake: FakeBroker) -> None:
    screen.goto(desk["url"] + "/reconciliation")
    account = Account.objects.get(name="desk")
    screen.locator(f"#reconcile-full-{account.pk}").click()
    screen.get_by_role("heading", name="Full reconciliation of desk").wait_for()
    screen.evaluate("window.notReloaded = true")
    assert "queued" in screen.locator(".subject").inner_text()

    carry_out()
    screen.get_by_role("button", name="Run it again").wait_for()
    run = ReconciliationRun.objects.get()
    assert run.state.replace("_", " ") in screen.locator(".subject").inner_text()
    assert screen.evaluate("window.notReloaded"), "it was followed, not loaded again"

    screen.get_by_role("link", name="All accounts").click()
    assert run.state in screen.locator(f"#account-{account.pk}").inner_text()
