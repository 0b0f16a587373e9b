"""Changes of positions and cash by hand: one person proposes, another confirms exactly that."""

import io
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from brokers.core.corporate_actions import CashEntryKind, SplitRatio
from brokers.models import Account, CashEntry, Position, PositionChange
from brokers.services.account_proposals import (
    propose_adjustment,
    propose_cash,
    propose_split,
    propose_symbol,
)
from brokers.services.holdings import adjust_position
from reliability.core.errors import ReliabilityError
from reliability.models import Alert, AuditEntry, Intervention
from reliability.services.interventions import confirm_intervention, decide_intervention, reject_intervention
from tests.factories import TEST_PASSWORD, make_user
from tests.reliability.api.test_errors import client_of

pytestmark = pytest.mark.django_db

ASKS = ("brokers.adjust_position", "brokers.book_cash", "reliability.handle_intervention")
AGREES = ("brokers.adjust_position", "brokers.book_cash", "reliability.approve_intervention")


@pytest.fixture
def desk(account: Account) -> Account:
    return account


@pytest.fixture
def ann(db: None) -> AbstractBaseUser:
    return make_user(*ASKS, name="ann")


@pytest.fixture
def bob(db: None) -> AbstractBaseUser:
    return make_user(*AGREES, name="bob")


def told() -> dict[str, str]:
    return {"by": "ann", "reason": "as the broker's letter says"}


def held(account: Account, symbol: str = "AAPL") -> Decimal | None:
    return Position.objects.filter(account=account, symbol=symbol).values_list("quantity", flat=True).first()


def confirm(number: int, actor: str = "bob") -> str:
    return confirm_intervention(number, actor=actor, proposal=Intervention.objects.get(pk=number).proposal)


def test_a_position_changes_only_when_another_person_agrees(
    desk: Account, ann: AbstractBaseUser, bob: AbstractBaseUser
) -> None:
    number = propose_adjustment(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **told())

    assert held(desk) in (None, 0)
    assert not PositionChange.objects.exists()
    question = Intervention.objects.get(pk=number)
    assert (question.state, question.proposed_by, question.evidence["quantity"]) == ("proposed", "ann", "10")
    assert Alert.objects.filter(condition="intervention.needed", resolved_at=None).exists(), "an approver is told"
    with pytest.raises(ReliabilityError, match="Another person"):
        confirm(number, "ann")

    assert confirm(number).startswith("Recorded")
    change = PositionChange.objects.get()
    assert (held(desk), change.actor, change.reason) == (10, "ann and bob", "as the broker's letter says")
    assert AuditEntry.objects.filter(action="position_adjustment", actor="ann and bob").exists()
    assert confirm(number), "doing it again changes nothing"
    assert PositionChange.objects.count() == 1


def test_splits_new_symbols_and_cash_are_proposed_too(
    desk: Account, ann: AbstractBaseUser, bob: AbstractBaseUser
) -> None:
    confirm(propose_adjustment(desk.pk, "FB", quantity=Decimal(10), average_price=Decimal(100), **told()))
    confirm(propose_split(desk.pk, "FB", SplitRatio(Decimal(4), Decimal(1)), **told()))
    confirm(propose_symbol(desk.pk, "FB", "META", **told()))
    cash = propose_cash(desk.pk, CashEntryKind.DIVIDEND, Decimal("12.50"), symbol="META", **told())

    assert (held(desk, "FB"), held(desk, "META")) == (0, 40)
    assert not CashEntry.objects.exists()
    confirm(cash)
    assert (CashEntry.objects.get().amount, CashEntry.objects.get().actor) == (Decimal("12.5"), "ann and bob")


def test_what_is_confirmed_is_what_was_shown(desk: Account, ann: AbstractBaseUser, bob: AbstractBaseUser) -> None:
    number = propose_adjustment(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **told())
    seen = Intervention.objects.get(pk=number).proposal
    Intervention.objects.filter(pk=number).update(
        evidence={**Intervention.objects.get(pk=number).evidence, "quantity": "1000"}
    )

    with pytest.raises(ReliabilityError, match="Something else is proposed"):
        confirm_intervention(number, actor="bob", proposal=seen)
    assert not PositionChange.objects.exists()


def test_a_proposal_is_bound_to_what_was_recorded(desk: Account, ann: AbstractBaseUser, bob: AbstractBaseUser) -> None:
    number = propose_adjustment(desk.pk, "AAPL", quantity=Decimal(10), average_price=Decimal(100), **told())
    adjust_position(desk.pk, "AAPL", quantity=Decimal(3), average_price=Decimal(1), by="somebody", reason="meanwhile")

    with pytest.raises(ReliabilityError, match="by now"):
        confirm(number)
    assert held(desk) == 3
    assert Intervention.objects.get(pk=number).state == "proposed"


def test_a_proposal_can_be_sent_back_and_dropped(desk: Account, ann: AbstractBaseUser, bob: AbstractBaseUser) -> None:
    number = propose_cash(desk.pk, CashEntryKind.FEE, Decimal(-1), **told())
    with pytest.raises(ReliabilityError, match="proposed already"):
        propose_cash(desk.pk, CashEntryKind.FEE, Decimal(-1), **told())
    reject_intervention(number, actor="bob", reason="that was no fee")
    decide_intervention(number, "drop", actor="ann", reason="right")

    assert (Intervention.objects.get(pk=number).state, CashEntry.objects.exists()) == ("decided", False)


def test_nothing_is_proposed_that_could_not_be_done_or_by_who_may_not(desk: Account, ann: AbstractBaseUser) -> None:
    make_user(*AGREES, name="eve")
    for call, refused in (
        (lambda: propose_split(desk.pk, "AAPL", SplitRatio(Decimal(2), Decimal(1)), **told()), "Nothing is held"),
        (lambda: propose_cash(desk.pk, CashEntryKind.FEE, Decimal(1), **told()), "below 0"),
        (lambda: propose_cash(desk.pk, CashEntryKind.FEE, Decimal(-1), by="ann", reason=" "), "reason"),
        (lambda: propose_cash(desk.pk, CashEntryKind.FEE, Decimal(-1), by="eve", reason="r"), "no active person"),
        (lambda: propose_cash(desk.pk, CashEntryKind.FEE, Decimal(-1), by="nobody", reason="r"), "no active person"),
    ):
        with pytest.raises(ReliabilityError, match=refused):
            call()
    assert not Intervention.objects.exists()
    assert not PositionChange.objects.exists()
    assert not CashEntry.objects.exists()


def test_the_api_takes_proposals_and_their_confirmation(
    desk: Account, ann: AbstractBaseUser, bob: AbstractBaseUser
) -> None:
    body: dict[str, Any] = {
        "action": "adjust", "account": "desk", "symbol": "AAPL", "quantity": "10", "average_price": "100",
        "reason": "held before",
    }  # fmt: skip
    assert client_of(bob).post("/api/v1/account-proposals", body, "application/json").status_code == 403
    wrong = client_of(ann).post("/api/v1/account-proposals", {**body, "quantity": ""}, "application/json")
    assert wrong.status_code == 422
    answer = client_of(ann).post("/api/v1/account-proposals", body, "application/json")
    number = answer.json()["intervention"]
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/api/v1/interventions/{number}")
    shown = client_of(bob).get(f"/api/v1/interventions/{number}")
    assert shown.status_code in (200, 403)

    seen = {"proposal": Intervention.objects.get(pk=number).proposal}
    confirmed = client_of(bob).post(f"/api/v1/interventions/{number}/confirm", seen, "application/json")
    assert (confirmed.status_code, held(desk)) == (200, 10)


def test_numbers_that_could_not_be_kept_are_refused(desk: Account, ann: AbstractBaseUser) -> None:
    adjust_position(desk.pk, "AAPL", quantity=Decimal(10) ** 15, average_price=Decimal(1), by="x", reason="much")
    body = {"action": "split", "account": "desk", "symbol": "AAPL", "reason": "many for few"}
    for units in ({"new_units": "999999", "for_each_old": "0.000001"}, {"new_units": "0", "for_each_old": "1"}):
        answer = client_of(ann).post("/api/v1/account-proposals", {**body, **units}, "application/json")
        assert answer.status_code == 422, answer.json()


def test_the_page_of_a_proposal_shows_what_it_does_and_confirms_it(
    desk: Account, ann: AbstractBaseUser, bob: AbstractBaseUser
) -> None:
    number = propose_cash(desk.pk, CashEntryKind.WITHDRAWAL, Decimal(-50), **told())
    client = Client()
    client.force_login(make_user(*AGREES, "reliability.view_intervention", name="cid"))
    page = client.get(reverse("intervention", args=[number])).content.decode()
    assert "Book -50 USD on desk as withdrawal?" in page
    seen = {"proposal": Intervention.objects.get(pk=number).proposal}
    client.post(reverse("confirm-intervention", args=[number]), seen)

    assert CashEntry.objects.get().actor == "ann and cid"


def test_the_command_proposes_for_a_person_who_knows_the_password(
    desk: Account, fresh_accounts: None, ann: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--account", "desk", "--symbol", "AAPL", "--reason", "letter", "--as", "ann", "--quantity", "10")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"wrong\n{TEST_PASSWORD}\n"))
    with pytest.raises(CommandError, match="not the password"):
        call_command("positions", "adjust", *options, "--average-price", "100")
    out = io.StringIO()
    call_command("positions", "adjust", *options, "--average-price", "100", stdout=out)

    assert f"intervention {Intervention.objects.get().pk}" in out.getvalue()
    assert not PositionChange.objects.exists()
