"""Freezes over HTTP, on the command line and on the operator screen: who may, what they say, and bad input."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Account, Freeze
from brokers.services.freezes import freeze_trading
from tests.factories import TEST_PASSWORD, make_user
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db

PATH = "/api/v1/freezes"
APPROVE = "reliability.approve_intervention"
VIEW, FREEZE, RELEASE = "brokers.view_freeze", "brokers.freeze_trading", "brokers.release_freeze"
ORDER: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10", "when_unavailable": "refuse"}


@pytest.fixture
def night(account: Account) -> Client:
    return client_of(make_user(VIEW, FREEZE, RELEASE, APPROVE, "brokers.submit_order", name="night"))


@pytest.fixture
def day(account: Account) -> Client:
    return client_of(make_user(VIEW, RELEASE, APPROVE, name="day"))


def overfilled() -> int:
    scope, cause = parse_freeze_scope("account:desk/symbol:AAPL"), FreezeCause.OVERFILL
    return freeze_trading(scope, FreezeMode.HALT, cause, reason="11 of 10 filled", evidence={"order": "x"}, by="fills")


def test_a_person_freezes_and_another_releases(night: Client, day: Client) -> None:
    answer = send(night, "POST", PATH, {"scope": "account:desk", "reason": "prices look wrong"})
    body = answer.json()
    assert (answer.status_code, body["scope"], body["mode"], body["cause"]) == (201, "account:desk", "halt", "person")

    refused = send(night, "POST", "/api/v1/orders", ORDER, headers={"Idempotency-Key": "k1"})
    document = require_error(refused, 409, "VALIDATION_TRADING_FROZEN")
    assert document["error"]["details"]["freeze"] == body["id"]
    assert [one["id"] for one in day.get(PATH, {"in_force": "true"}).json()["results"]] == [body["id"]]

    require_error(send(day, "POST", f"{answer['Location']}/release", {}), 422, "VALIDATION_INVALID_REQUEST")
    released = send(day, "POST", f"{answer['Location']}/release", {"reason": "they are right"})
    assert (released.status_code, released.json()["released_by"]) == (200, "day")
    assert send(night, "POST", "/api/v1/orders", ORDER, headers={"Idempotency-Key": "k2"}).status_code == 202
    assert day.get(PATH, {"in_force": "true"}).json()["results"] == []


def test_money_in_doubt_needs_two_persons(night: Client, day: Client) -> None:
    one = f"{PATH}/{overfilled()}"
    require_error(send(night, "POST", f"{one}/release", {"reason": "fine"}), 409, "VALIDATION_WRONG_STATE")
    assert send(night, "POST", f"{one}/release-request", {"reason": "the broker confirmed it"}).status_code == 200
    require_error(send(night, "POST", f"{one}/release-confirmation"), 403, "AUTH_PERMISSION_DENIED")
    assert send(day, "POST", f"{one}/release-confirmation").json()["in_force"] is False

    history = day.get(one).json()["events"]
    kinds = [(event["kind"], event["actor"]) for event in history]
    assert kinds == [("frozen", "fills"), ("release_wanted", "night"), ("released", "day")]


@pytest.mark.parametrize(
    "body",
    [{}, {"scope": "global"}, {"scope": "x", "reason": "r"}, {"scope": "account:nobody", "reason": "r"},
     {"scope": "global/symbol:AAPL", "reason": "r"}, {"scope": "global", "reason": " "}, [],
     {"scope": "global", "reason": "r", "mode": "slow"}, {"scope": "account:desk/symbol:aapl", "reason": "r"}],
)  # fmt: skip
def test_what_makes_no_freeze_is_told(night: Client, body: Any) -> None:
    require_error(send(night, "POST", PATH, body), 422, "VALIDATION_INVALID_REQUEST")
    assert not Freeze.objects.exists()


def test_the_command_line_freezes_lists_and_releases_with_passwords(
    night: Client, day: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> str:
        out = io.StringIO()
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{TEST_PASSWORD}\n"))
        call_command("freezes", *words, stdout=out)
        return out.getvalue()

    doubtful = str(overfilled())
    line = run("freeze", "account:desk", "--mode", "reduce_only", "--reason", "drill")
    assert "account:desk  reduce_only  person" in line
    by_person = line.split()[0]
    assert {one["id"] for one in json.loads(run("list", "--json"))} == {int(doubtful), int(by_person)}

    assert "Released" in run("release", by_person, "--as", "night", "--reason", "over")
    with pytest.raises(CommandError, match="two persons"):
        run("release", doubtful, "--as", "night", "--reason", "fine")
    run("request-release", doubtful, "--as", "night", "--reason", "confirmed")
    assert "night asks for its release" in run("list")
    assert "Released" in run("confirm-release", doubtful, "--as", "day")
    assert "Nothing is frozen." in run("list")
    assert "[released by night and day]" in run("list", "--all")


def test_the_operator_screen_says_what_is_frozen_and_has_the_buttons(client: Client, account: Account) -> None:
    freeze_id = overfilled()
    ann, bob = (make_user("brokers.view_order", RELEASE, APPROVE, name=name) for name in ("ann", "bob"))
    client.force_login(ann)
    page = client.get("/").content.decode()
    assert "No order is sent: account:desk/symbol:AAPL" in page
    assert "two persons release it" in page

    assert client.get(f"/freezes/{freeze_id}/ask").status_code == 405
    client.post(f"/freezes/{freeze_id}/ask", {"reason": "the broker confirmed it"})
    client.post(f"/freezes/{freeze_id}/confirm")
    assert Freeze.objects.get(pk=freeze_id).released_at is None
    client.force_login(bob)
    assert "Confirm the release of account:desk/symbol:AAPL" in client.get("/").content.decode()
    client.post(f"/freezes/{freeze_id}/confirm")
    assert Freeze.objects.get(pk=freeze_id).released_by == "bob"

    client.force_login(make_user("brokers.view_order", name="eve"))
    assert client.post(f"/freezes/{freeze_id}/release", {"reason": "x"}).status_code == 403


def test_admin_freezes_one_symbol_and_releases_it(client: Client, account: Account) -> None:
    client.force_login(make_user(VIEW, FREEZE, RELEASE, name="ann"))
    values = {"scope": "account:desk", "symbol": "AAPL", "mode": "reduce_only", "reason": "drill"}
    assert client.post("/admin/brokers/freeze/add/", {**values, "scope": "global"}).status_code == 200
    assert client.post("/admin/brokers/freeze/add/", values).status_code == 302
    row = Freeze.objects.get()
    assert (str(row.scope), row.mode, row.frozen_by) == ("account:desk/symbol:AAPL", "reduce_only", "ann")

    chosen = {"action": "release_chosen", "_selected_action": row.pk, "reason": "over"}
    client.post("/admin/brokers/freeze/", chosen)
    assert Freeze.objects.get().released_by == "ann"
    assert client.get(f"/admin/brokers/freeze/{row.pk}/change/").status_code == 200
