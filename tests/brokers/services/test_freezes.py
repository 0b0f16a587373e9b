"""Freezes: what waits, what passes, and who lets trading go on."""

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Account, ExternalOrder, Freeze, FreezeEvent, Order, OrderEvent, Position
from brokers.selectors.exposure import read_exposure
from brokers.services.accounts import forget_accounts
from brokers.services.cancellation import request_cancel
from brokers.services.freezes import (
    confirm_freeze_release,
    freeze_by_person,
    freeze_trading,
    release_freeze,
    request_freeze_release,
)
from brokers.services.replacement import request_replace
from brokers.services.submission import OrderSubmission
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import AuditEntry, Job
from tests.brokers.services.orders import state, submit
from tests.factories import make_order, make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

APPROVE = "reliability.approve_intervention"
RELEASE = "brokers.release_freeze"


@pytest.fixture
def persons(db: None) -> tuple[str, str]:
    return make_user(RELEASE, APPROVE, name="ann").get_username(), make_user(
        RELEASE, APPROVE, name="bob"
    ).get_username()


def freeze(
    scope: str = "account:desk",
    mode: FreezeMode = FreezeMode.HALT,
    cause: FreezeCause = FreezeCause.STREAM_DOWN,
    by: str = "sentinel",
) -> int:
    return freeze_trading(parse_freeze_scope(scope), mode, cause, reason="the stream is silent", by=by)


def hold(account: Account, quantity: int) -> None:
    Position.objects.create(account=account, symbol="AAPL", quantity=Decimal(quantity))


@pytest.mark.parametrize("scope", ["global", "broker:{broker}", "account:desk", "account:desk/symbol:AAPL"])
def test_an_order_waits_while_it_is_frozen_and_is_sent_at_the_release(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, scope: str
) -> None:
    freeze_id = freeze(scope.format(broker=account.broker_id))
    order_id = submit(owner, "k1").id
    run_due("orders")

    job = Job.objects.get(subject=order_id)
    assert (state(order_id), broker.calls) == ("accepted", [])
    assert (job.error_code, job.waits_for, job.attempt) == ("VALIDATION_TRADING_FROZEN", "frozen:desk", 0)

    release_freeze(freeze_id, by="sentinel", reason="the stream is back")
    run_due("orders")
    assert (state(order_id), broker.calls) == ("working", ["submit"])


def test_another_symbol_and_another_account_go_on(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    Account.objects.create(name="other", broker=account.broker)
    forget_accounts()
    freeze("account:desk/symbol:AAPL")
    ids = [submit(owner, "k1", symbol="MSFT").id, submit(owner, "k2", account="other").id, submit(owner, "k3").id]
    run_due("orders")

    assert [state(one) for one in ids] == ["working", "working", "accepted"]


def test_a_route_goes_on_with_the_account_that_is_not_frozen(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    other = Account.objects.create(name="other", broker=account.broker)
    forget_accounts()
    freeze()
    order_id = submit(owner, "k1", route=["desk", "other"]).id
    run_due("orders")

    assert (state(order_id), Order.objects.get(pk=order_id).account_id) == ("working", other.pk)


def test_a_caller_who_wants_no_waiting_is_refused_with_what_is_frozen_and_why(owner: AbstractBaseUser) -> None:
    freeze_id = freeze()

    with pytest.raises(ReliabilityError) as caught:
        submit(owner, "k1", when_unavailable="refuse")

    assert caught.value.code == "VALIDATION_TRADING_FROZEN"
    assert caught.value.details["freeze"] == freeze_id
    assert (caught.value.details["cause"], caught.value.details["reason"]) == ("stream_down", "the stream is silent")
    assert not Order.objects.exists()


def test_an_order_accepted_just_before_the_freeze_is_refused_when_it_is_to_be_sent(
    broker: FakeBroker, owner: AbstractBaseUser
) -> None:
    order_id = submit(owner, "k1", when_unavailable="refuse").id
    freeze_id = freeze()
    run_due("orders")

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.error_code, broker.calls) == ("refused", "VALIDATION_TRADING_FROZEN", [])
    assert OrderEvent.objects.get(order=order_id, to_state="refused").evidence["freeze"] == freeze_id


def test_cancels_look_ups_and_reads_pass(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    working = submit(owner, "k1").id
    run_due("orders")
    lost = submit(owner, "k2").id
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    run_due("orders")
    freeze("global")
    request_cancel(working, actor="desk")
    make_due(lane="orders")
    run_due("orders")

    assert broker.canceled == ["b-1"]
    assert (state(lost), "find" in broker.calls) == ("working", True)


def test_an_unknown_order_that_is_provably_absent_is_not_sent_again_while_frozen(
    broker: FakeBroker, owner: AbstractBaseUser
) -> None:
    order_id = submit(owner, "k1").id
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    Order.objects.filter(pk=order_id).update(absence_proven_at=timezone.now())
    freeze_id = freeze()
    make_due(lane="orders")
    run_due("orders")
    assert (state(order_id), broker.calls.count("submit")) == ("unknown", 1)

    release_freeze(freeze_id, by="sentinel", reason="clean")
    run_due("orders")
    assert (state(order_id), broker.calls.count("submit")) == ("working", 2)


def test_a_replacement_waits_too(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    old = submit(owner, "k1", type="limit", limit_price="5").id
    run_due("orders")
    freeze_id = freeze()
    new = request_replace(old, owner_id=owner.pk, actor="desk", submission=OrderSubmission("r1", {"limit_price": "6"}))
    run_due("orders")
    assert (state(new.id), "replace" in broker.calls) == ("accepted", False)

    release_freeze(freeze_id, by="sentinel", reason="clean")
    run_due("orders")
    assert "replace" in broker.calls


# -- reduce only ----------------------------------------------------------------------------


def test_reduce_only_lets_through_what_provably_reduces_the_position(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    hold(account, 10)
    freeze(mode=FreezeMode.REDUCE_ONLY)
    wanted = [("s1", "sell", "6"), ("b1", "buy", "1"), ("s2", "sell", "4"), ("s3", "sell", "1")]
    ids = [submit(owner, key, side=side, quantity=quantity).id for key, side, quantity in wanted]
    run_due("orders")

    assert [state(one) for one in ids] == ["working", "accepted", "working", "accepted"]


def test_open_orders_and_fills_that_are_not_booked_yet_count_as_traded(
    owner: AbstractBaseUser, account: Account, broker: FakeBroker
) -> None:
    hold(account, 20)
    make_order(account, owner, side="sell", quantity=Decimal(5), filled_quantity=Decimal(2))
    make_order(account, owner, side="sell", quantity=Decimal(4), state="filled", reported_filled_quantity=Decimal(4))
    make_order(account, owner, side="sell", quantity=Decimal(7), state="unknown")
    make_order(account, owner, side="sell", quantity=Decimal(9), state="accepted")
    make_order(account, owner, side="buy", quantity=Decimal(3))
    ExternalOrder.objects.create(
        account=account, broker_order_id="x", symbol="AAPL", side="sell", quantity=Decimal(2), status="working"
    )

    exposure = read_exposure(account.pk, "AAPL")

    assert (exposure.held, exposure.buying, exposure.selling) == (Decimal(20), Decimal(3), Decimal(3 + 4 + 7 + 2))


def test_an_open_order_by_money_proves_nothing(owner: AbstractBaseUser, account: Account, broker: FakeBroker) -> None:
    hold(account, 20)
    make_order(account, owner, side="sell", quantity=None, notional=Decimal(100))
    freeze(mode=FreezeMode.REDUCE_ONLY)
    order_id = submit(owner, "s1", side="sell", quantity="1").id
    run_due("orders")

    assert read_exposure(account.pk, "AAPL").selling is None
    assert state(order_id) == "accepted"


def test_a_halt_beside_a_reduce_only_lets_nothing_through(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    hold(account, 10)
    freeze(mode=FreezeMode.REDUCE_ONLY)
    freeze("account:desk/symbol:AAPL", cause=FreezeCause.POSITION_MISMATCH)
    order_id = submit(owner, "s1", side="sell", quantity="1").id
    run_due("orders")

    assert (state(order_id), broker.calls) == ("accepted", [])


# -- rows -----------------------------------------------------------------------------------


def test_asking_again_keeps_the_freeze_and_a_halt_makes_it_stricter_never_laxer(account: Account) -> None:
    first = freeze(mode=FreezeMode.REDUCE_ONLY)

    assert freeze(mode=FreezeMode.REDUCE_ONLY) == first
    assert freeze(mode=FreezeMode.HALT) == first
    assert freeze(mode=FreezeMode.REDUCE_ONLY) == first
    assert Freeze.objects.get().mode == "halt"
    assert list(FreezeEvent.objects.order_by("id").values_list("kind", flat=True)) == ["frozen", "tightened"]


def test_a_freeze_made_stricter_forgets_who_wanted_the_milder_one_released(account: Account) -> None:
    number = freeze(mode=FreezeMode.REDUCE_ONLY)
    Freeze.objects.update(release_wanted_by="ann", release_wanted_at=timezone.now(), release_reason="r")

    freeze(mode=FreezeMode.HALT)

    row = Freeze.objects.get(pk=number)
    assert (row.release_wanted_by, row.release_wanted_at, row.release_reason) == ("", None, "")


def test_each_cause_freezes_by_itself_and_all_must_end(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    silent, recovering = freeze(), freeze(cause=FreezeCause.RECOVERY)
    order_id = submit(owner, "k1").id
    release_freeze(silent, by="sentinel", reason="clean")
    make_due(lane="orders")
    run_due("orders")
    assert state(order_id) == "accepted"

    release_freeze(recovering, by="recovery", reason="clean")
    run_due("orders")
    assert state(order_id) == "working"


def test_a_lost_connection_ends_by_itself_and_a_person_is_needed_for_the_rest(
    account: Account, persons: tuple[str, str]
) -> None:
    ann, bob = persons
    release_freeze(freeze(), by="sentinel", reason="one clean cycle", evidence={"run": 7})
    by_person = freeze_by_person("account:desk", FreezeMode.HALT, reason="drill", by=ann).pk
    doubtful = freeze(cause=FreezeCause.OVERFILL)

    for freeze_id in (by_person, doubtful):
        with pytest.raises(ReliabilityError):
            release_freeze(freeze_id, by="sentinel", reason="looks fine")
    with pytest.raises(ReliabilityError, match="two persons"):
        release_freeze(doubtful, by=ann, reason="looks fine")
    release_freeze(by_person, by=bob, reason="over")

    request_freeze_release(doubtful, by=ann, reason="the broker confirmed it")
    with pytest.raises(ReliabilityError, match="another person"):
        confirm_freeze_release(doubtful, by=ann)
    confirm_freeze_release(doubtful, by=bob)
    assert not Freeze.objects.filter(released_at=None).exists()
    kinds = FreezeEvent.objects.filter(freeze=doubtful).order_by("id").values_list("kind", "actor")
    assert list(kinds) == [("frozen", "sentinel"), ("release_wanted", ann), ("released", bob)]
    assert AuditEntry.objects.filter(action="freeze_released", actor=bob, reason="the broker confirmed it").exists()


def test_an_instant_is_recorded_from_which_on_nothing_is_sent(
    account: Account, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        freeze_id = freeze()

    events = {one.kind: one.recorded_at for one in FreezeEvent.objects.filter(freeze=freeze_id)}
    assert events["in_force"] >= events["frozen"]


def test_a_freeze_says_why_and_of_what(account: Account) -> None:
    with pytest.raises(ReliabilityError):
        freeze_by_person("account:desk", FreezeMode.HALT, reason=" ", by="ann")
    for scope in ("account:nobody", "everything", "global/symbol:AAPL"):
        with pytest.raises(ReliabilityError) as caught:
            freeze_by_person(scope, FreezeMode.HALT, reason="drill", by="ann")
        assert "scope" in caught.value.details
    assert not Freeze.objects.exists()


def test_the_rows_hold_what_the_services_promise(account: Account) -> None:
    freeze_id = freeze(cause=FreezeCause.OVERFILL)
    row = Freeze.objects.filter(pk=freeze_id)
    with pytest.raises(IntegrityError), transaction.atomic():
        row.update(released_at=timezone.now(), released_by="ann", release_wanted_by="ann")
    with pytest.raises(IntegrityError), transaction.atomic():
        Freeze.objects.create(account=account, mode="halt", cause="overfill", reason="again", frozen_by="x")
    with pytest.raises(DatabaseError), transaction.atomic():
        FreezeEvent.objects.filter(freeze=freeze_id).update(actor="somebody")


def test_a_process_that_has_not_heard_of_it_sends_nothing_either(
    broker: FakeBroker, owner: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(owner, "k0")
    run_due("orders")
    monkeypatch.setattr("brokers.services.freezes.forget_halts", lambda: None)
    freeze()
    order_id = submit(owner, "k1").id
    run_due("orders")

    assert (state(order_id), broker.calls) == ("accepted", ["submit"])
