"""Reconciliations over HTTP and on pages: asked for, followed, and decided on."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from brokers.core.corporate_actions import CashEntryKind
from brokers.core.reports import CashReport, PositionReport
from brokers.models import Account, Balance, CashEntry, Freeze, Position
from brokers.services.holdings import book_cash
from reconciliation.models import Discrepancy, ReconciliationRun
from reliability.models import Alert, AuditEntry, Intervention
from reliability.services.interventions import confirm_intervention
from tests.factories import make_user
from tests.fakes import FakeBroker, make_due, run_due
from tests.reconciliation.services.test_runs import damage, fill, placed, reconcile
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db

MAY = (
    "reconciliation.view_reconciliationrun",
    "reconciliation.run_reconciliation",
    "reconciliation.view_discrepancy",
    "reconciliation.resolve_discrepancy",
)


def finish() -> None:
    for _ in range(10):
        make_due(kind="reconciliation.run")
        run_due("recovery")


def test_a_run_is_asked_for_and_followed_to_its_verdict(broker: FakeBroker, account: Account) -> None:
    client = client_of(make_user(*MAY))
    fill(broker, account, placed(broker), 4)
    damage("UPDATE brokers_position SET quantity = 7")
    asked = send(client, "POST", "/api/v1/reconciliations", {"account": "desk", "kind": "full"})
    assert (asked.status_code, asked.json()["state"]) == (202, "queued")
    again = send(client, "POST", "/api/v1/reconciliations", {"account": "desk", "kind": "full"})
    assert again.json()["id"] == asked.json()["id"]
    finish()

    answer = client.get(asked["Location"]).json()
    (found,) = answer["discrepancies"]
    assert (answer["state"], answer["found"], answer["remaining"]) == ("differences", 1, 1)
    assert (found["kind"], found["symbol"], found["recorded"]["quantity"], found["reported"]["quantity"]) == (
        "position", "AAPL", "7", "4",
    )  # fmt: skip
    assert [one["id"] for one in client.get("/api/v1/reconciliations?account=desk").json()["results"]] == [answer["id"]]
    listed = client.get("/api/v1/discrepancies?state=open&kind=position").json()["results"]
    assert [one["id"] for one in listed] == [found["id"]]


@pytest.mark.parametrize("body", [{}, {"account": "nobody"}, {"account": "desk", "kind": "half"}])
def test_a_wrong_request_is_told_what_is_wrong(account: Account, body: dict[str, Any]) -> None:
    client = client_of(make_user(*MAY))
    require_error(send(client, "POST", "/api/v1/reconciliations", body), 422, "VALIDATION_INVALID_REQUEST")
    assert not ReconciliationRun.objects.exists()


def test_a_difference_is_told_of_and_freezes_its_symbol_until_somebody_decides(
    broker: FakeBroker, account: Account
) -> None:
    fill(broker, account, placed(broker), 4)
    damage("UPDATE brokers_position SET quantity = 7")
    reconcile(account)
    freeze, alert, row = Freeze.objects.get(), Alert.objects.get(), Discrepancy.objects.get()
    assert (str(freeze.scope), freeze.mode, freeze.cause) == ("account:desk/symbol:AAPL", "halt", "position_mismatch")
    assert (alert.condition, alert.scope, alert.resolved_at) == ("reconciliation.discrepancy", "account:desk", None)

    client = client_of(make_user(*MAY, name="ann"))
    path = f"/api/v1/discrepancies/{row.pk}/accept"
    require_error(send(client, "POST", path, {"reason": " "}), 422, "VALIDATION_INVALID_REQUEST")
    answer = send(client, "POST", path, {"reason": "a transfer that arrives tomorrow"})
    assert (answer.json()["state"], answer.json()["resolution"]) == ("resolved", "accept")
    require_error(send(client, "POST", path, {"reason": "again"}), 409, "VALIDATION_WRONG_STATE")
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert Freeze.objects.get().released_at is None
    entry = AuditEntry.objects.get(action="resolve_discrepancy")
    assert (entry.actor, entry.reason) == ("ann", "a transfer that arrives tomorrow")

    assert reconcile(account).state == "clean"  # it is not named again while both sides stay as they are
    damage("UPDATE brokers_position SET quantity = 8")
    assert reconcile(account).state == "differences"


def test_what_a_rule_settles_is_told_of_and_over_with_its_run(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    broker.execute(order.client_order_id, 10, executed_at=order.accepted_at.replace(year=2020))
    broker.positions, broker.cash = {}, broker.cash
    fill_free = reconcile(account)
    assert fill_free.resolved >= 1
    assert Alert.objects.filter(condition="reconciliation.discrepancy").exists()


def test_pages_show_the_run_and_both_sides_and_decide_by_post(broker: FakeBroker, account: Account) -> None:
    fill(broker, account, placed(broker), 4)
    damage("UPDATE brokers_position SET quantity = 7")
    client = Client()
    client.force_login(make_user(*MAY, name="ann"))
    posted = client.post(reverse("request-reconciliation"), {"account": account.pk, "kind": "incremental"})
    run = ReconciliationRun.objects.get()
    assert posted.headers["Location"] == reverse("reconciliation-run", args=[run.pk])
    assert "queued" in client.get(posted.headers["Location"]).content.decode()
    finish()

    row = Discrepancy.objects.get()
    live = client.get(reverse("reconciliation-run-live", args=[run.pk]))
    assert "differences" in live.content.decode()
    same = client.get(reverse("reconciliation-run-live", args=[run.pk]), headers={"If-None-Match": live["ETag"]})
    assert same.status_code == 304
    page = client.get(reverse("discrepancy", args=[row.pk])).content.decode()
    assert '<strong class="alarm">7</strong>' in page
    assert '<strong class="alarm">4</strong>' in page
    assert client.get(reverse("accept-discrepancy", args=[row.pk])).status_code == 405
    client.post(reverse("accept-discrepancy", args=[row.pk]), {"reason": "known"})
    row.refresh_from_db()
    assert (row.state, row.resolved_by) == ("resolved", "ann")
    for name in ("reconciliation", "reconciliation-live"):
        assert client.get(reverse(name)).status_code == 200


def test_a_person_sets_a_position_to_what_the_broker_reported_and_the_next_run_agrees(
    broker: FakeBroker, account: Account
) -> None:
    fill(broker, account, placed(broker), 4)
    broker.positions["MSFT"] = PositionReport("MSFT", Decimal(5), Decimal(20))  # held before anything was recorded
    reconcile(account)
    row = Discrepancy.objects.get()
    client = Client()
    client.force_login(make_user(*MAY, name="eve"))
    assert client.post(reverse("adjust-discrepancy", args=[row.pk]), {"reason": "opening"}).status_code == 403
    client.force_login(make_user(*MAY, "brokers.adjust_position", "reliability.handle_intervention", name="ann"))
    client.post(reverse("adjust-discrepancy", args=[row.pk]), {"reason": "held since before"})
    row.refresh_from_db()
    assert row.state == "open", "another person agrees first"
    agree()
    finish()

    row.refresh_from_db()
    assert (row.state, row.resolution, row.resolved_by) == ("resolved", "adjust", "ann and bob")
    position = Position.objects.get(symbol="MSFT")
    assert (position.quantity, position.average_price) == (5, 20)
    latest = ReconciliationRun.objects.latest("id")
    assert (latest.trigger, latest.state) == ("resolution", "clean")


def agree() -> str:
    """Confirm the one proposal, as another person."""
    row = Intervention.objects.get(state="proposed")
    return confirm_intervention(row.pk, actor="bob", proposal=row.proposal)


def test_an_accepted_difference_of_cash_holds_past_the_next_trade(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    fill(broker, account, order, 4)
    assert [reconcile(account).state, reconcile(account).state] == ["clean", "clean"]
    broker.cash -= Decimal(7)
    reconcile(account)
    row = Discrepancy.objects.get()
    client = client_of(make_user(*MAY, "brokers.book_cash", "reliability.handle_intervention", name="ann"))
    told = client.post(f"/api/v1/discrepancies/{row.pk}/accept", {"reason": "a fee"}, "application/json").json()
    assert (told["state"], told["intervention"]) == ("open", Intervention.objects.get().pk)
    agree()
    finish()

    row.refresh_from_db()
    assert (row.state, row.resolution, row.resolved_by) == ("resolved", "accept", "ann and bob")
    assert (CashEntry.objects.get().amount, CashEntry.objects.get().kind) == (Decimal(-7), "adjustment")
    cash = broker.cash
    fill(broker, account, order, 3)
    broker.cash = cash - 300
    run = reconcile(account)
    assert (run.state, Discrepancy.objects.count()) == ("clean", 1), "counting goes on from what was accepted"


def withdrawal(amount: str, number: int = 1) -> CashReport:
    today = datetime.now(UTC).date()
    return CashReport(f"a-{number}", CashEntryKind.WITHDRAWAL, Decimal(amount), "USD", today, told="CSW")


def test_a_withdrawal_that_the_broker_lists_is_booked_and_no_difference(broker: FakeBroker, account: Account) -> None:
    broker.movements = [withdrawal("-1", 0)]
    fill(broker, account, placed(broker), 4)
    assert reconcile(account).state == "clean"
    assert not CashEntry.objects.exists(), "counting begins with the cash that was reported first"

    broker.cash -= 50
    broker.movements.append(withdrawal("-50"))
    for _ in range(2):
        run = reconcile(account)
        assert (run.state, Discrepancy.objects.count()) == ("clean", 0)
    entry = CashEntry.objects.get()
    assert (entry.kind, entry.amount, entry.actor) == ("withdrawal", Decimal(-50), "broker")
    assert "a-1" in entry.reason


def test_what_a_person_booked_already_is_not_booked_again_when_the_broker_lists_it(
    broker: FakeBroker, account: Account
) -> None:
    fill(broker, account, placed(broker), 4)
    reconcile(account)
    broker.cash -= 50
    book_cash(account.pk, CashEntryKind.WITHDRAWAL, Decimal(-50), by="ann and bob", reason="paid out")
    assert reconcile(account).state == "clean"
    broker.movements.append(withdrawal("-50"))
    assert reconcile(account).state == "clean"

    broker.cash -= 50
    broker.movements.append(withdrawal("-50", 2))
    assert reconcile(account).state == "clean", "a second one of the same amount is another one"
    assert CashEntry.objects.count() == 2


def test_a_proposal_about_a_difference_that_is_gone_is_taken_back(broker: FakeBroker, account: Account) -> None:
    fill(broker, account, placed(broker), 4)
    broker.positions["MSFT"] = PositionReport("MSFT", Decimal(5), Decimal(20))
    reconcile(account)
    row = Discrepancy.objects.get()
    client = Client()
    client.force_login(make_user(*MAY, "brokers.adjust_position", "reliability.handle_intervention", name="ann"))
    client.post(reverse("adjust-discrepancy", args=[row.pk]), {"reason": "held since before"})
    del broker.positions["MSFT"]
    reconcile(account)

    row.refresh_from_db()
    assert (row.state, Intervention.objects.get().state) == ("vanished", "withdrawn")


def test_cash_that_no_execution_explains_is_named_and_booked_by_a_person(broker: FakeBroker, account: Account) -> None:
    fill(broker, account, placed(broker), 4)
    assert reconcile(account).state == "clean"  # what is reported the first time is where counting begins,
    assert reconcile(account).state == "clean"  # once a later look agrees
    broker.cash += Decimal("12.5")
    run = reconcile(account)
    row = Discrepancy.objects.get()
    assert (run.state, row.kind, row.resolution) == ("differences", "cash", "person")
    assert Decimal(row.reported["cash"]) - Decimal(row.recorded["cash"]) == Decimal("12.5")
    assert not Freeze.objects.exists()

    client = Client()
    client.force_login(make_user(*MAY, "brokers.book_cash", "reliability.handle_intervention", name="ann"))
    client.post(reverse("book-discrepancy", args=[row.pk]), {"reason": "of AAPL", "kind": "dividend"})
    assert not CashEntry.objects.exists()
    agree()
    finish()
    row.refresh_from_db()
    assert (row.state, row.resolution) == ("resolved", "adjust")
    assert (CashEntry.objects.get().amount, CashEntry.objects.get().kind) == (Decimal("12.5"), "dividend")
    assert ReconciliationRun.objects.latest("id").state == "clean"
    assert Balance.objects.filter(account=account).count() == 2, "what is as before is not kept twice"


@pytest.mark.parametrize("name", ["reconciliation", "reconciliation-live"])
def test_pages_are_closed_to_those_who_may_not_see_them(account: Account, name: str) -> None:
    client = Client()
    client.force_login(make_user())
    assert client.get(reverse(name)).status_code == 403
    assert client.post(reverse("request-reconciliation"), {"account": account.pk}).status_code == 403


def test_the_command_shows_what_differs_and_fails(
    broker: FakeBroker, account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from django.core.management import CommandError, call_command

    from reconciliation.management.commands import reconcile as command

    monkeypatch.setattr(command.time, "sleep", lambda seconds: finish())
    call_command("reconcile", "--account", "desk")
    assert "clean" in capsys.readouterr().out
    broker.place("by-hand", symbol="MSFT")
    with pytest.raises(CommandError, match="desk: differences"):
        call_command("reconcile", "--full")
    told = capsys.readouterr()
    assert "external" in told.out
    assert "queued" in told.err
    with pytest.raises(CommandError, match="differences"):
        call_command("reconcile", "--json", "--quiet")
    (run,) = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in run["discrepancies"]] == ["external"]
    with pytest.raises(CommandError, match="there is no account called nobody"):
        call_command("reconcile", "--account", "nobody")
