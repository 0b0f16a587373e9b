"""Kill switches over HTTP and on the command line: who may, what it says, and bad input."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from brokers.models import Account, KillSwitch, Order
from tests.factories import TEST_PASSWORD, make_user
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db

PATH = "/api/v1/kill-switches"
APPROVE = "reliability.approve_intervention"
VIEW, ENGAGE, RELEASE = "brokers.view_killswitch", "brokers.engage_kill_switch", "brokers.release_kill_switch"
ORDER: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10"}


@pytest.fixture
def night(account: Account) -> Client:
    return client_of(make_user(VIEW, ENGAGE, RELEASE, APPROVE, "brokers.submit_order", name="night"))


@pytest.fixture
def day(account: Account) -> Client:
    return client_of(make_user(VIEW, RELEASE, APPROVE, name="day"))


def test_it_stops_orders_until_two_persons_let_them_go_on(night: Client, day: Client) -> None:
    answer = send(night, "POST", PATH, {"scope": "global", "reason": "prices look wrong"})
    body = answer.json()
    assert (answer.status_code, body["scope"], body["in_force"]) == (201, "global", True)
    assert body["progress"] == {"open": 0, "unsent": 0, "cancel_pending": 0, "unknown": 0, "done": 0}

    refused = send(night, "POST", "/api/v1/orders", ORDER, headers={"Idempotency-Key": "k1"})
    document = require_error(refused, 409, "VALIDATION_TRADING_HALTED")
    assert document["error"]["details"]["engaged_by"] == "night"
    assert not Order.objects.exists()

    assert send(night, "POST", f"{answer['Location']}/release-request", {"reason": "feed is back"}).status_code == 200
    require_error(send(night, "POST", f"{answer['Location']}/release"), 403, "AUTH_PERMISSION_DENIED")
    assert send(day, "POST", f"{answer['Location']}/release").json()["in_force"] is False

    accepted = send(night, "POST", "/api/v1/orders", ORDER, headers={"Idempotency-Key": "k1"})
    assert accepted.status_code == 202
    history = day.get(answer["Location"]).json()["events"]
    assert [(one["kind"], one["actor"]) for one in history] == [
        ("engaged", "night"),
        ("release_wanted", "night"),
        ("released", "day"),
    ]


@pytest.mark.parametrize(
    "body",
    [{}, {"scope": "global"}, {"scope": "x", "reason": "r"}, {"scope": "account:nobody", "reason": "r"},
     {"scope": ["global"], "reason": "r"}, {"scope": "global", "reason": " "}, [],
     {"scope": "global", "reason": "r" * 501}],
)  # fmt: skip
def test_bad_input_stops_nothing(night: Client, body: Any) -> None:
    require_error(send(night, "POST", PATH, body), 422, "VALIDATION_INVALID_REQUEST")
    assert not KillSwitch.objects.exists()


@pytest.mark.parametrize("number", ["1", str(2**63), "9" * 40])
@pytest.mark.parametrize("action", ["", "/release", "/release-request"])
def test_what_is_not_there_is_not_found(night: Client, number: str, action: str) -> None:
    answer = send(night, "POST" if action else "GET", f"{PATH}/{number}{action}", {"reason": "r"})
    require_error(answer, 404, "VALIDATION_NOT_FOUND")


def test_each_right_is_needed(account: Account) -> None:
    viewer = client_of(make_user(VIEW))
    assert viewer.get(PATH).json() == {"results": []}
    for path in (PATH, f"{PATH}/1/release", f"{PATH}/1/release-request"):
        require_error(send(viewer, "POST", path, {"scope": "global", "reason": "r"}), 403, "AUTH_PERMISSION_DENIED")
    assert not KillSwitch.objects.exists()


def command(*words: str, password: str = "", monkeypatch: pytest.MonkeyPatch | None = None) -> str:
    out = io.StringIO()
    if monkeypatch is not None:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    call_command("kill_switch", *words, stdout=out)
    return out.getvalue()


def test_the_command_line_wants_each_persons_own_password(night: Client, day: Client, monkeypatch: Any) -> None:
    assert command("list") == "No kill switch is in force.\n"
    line = command("engage", "account:desk", "--reason", "drill")
    assert "account:desk" in line
    assert "0 open, 0 cancel pending, 0 unknown, 0 done" in line
    number = str(KillSwitch.objects.get().pk)

    command("request-release", number, "--as=night", "--reason=done", password=TEST_PASSWORD, monkeypatch=monkeypatch)
    for person, password in (("day", "wrong"), ("night", TEST_PASSWORD), ("nobody", TEST_PASSWORD)):
        with pytest.raises(CommandError):
            command("confirm-release", number, f"--as={person}", password=password, monkeypatch=monkeypatch)
    assert "night asks for its release" in command("list")
    command("confirm-release", number, "--as=day", password=TEST_PASSWORD, monkeypatch=monkeypatch)

    assert "released by night and day" in command("list", "--all")
    assert json.loads(command("list", "--all", "--json"))[0]["released_by"] == "day"


def test_the_command_line_names_what_is_wrong(account: Account) -> None:
    with pytest.raises(CommandError, match="there is no account called nobody"):
        command("engage", "account:nobody", "--reason", "drill")
