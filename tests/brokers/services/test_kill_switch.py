"""The kill switch: what it stops, what it cancels, and who lets trading go on."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from brokers.core.reports import ReportedStatus
from brokers.models import Account, Broker, KillSwitch, KillSwitchEvent, Order, OrderEvent
from brokers.selectors.kill_switch import read_progress, switch_facts
from brokers.services.accounts import forget_accounts, get_profile
from brokers.services.guards import CallClass, get_guard
from brokers.services.halts import current_halt, forget_halts
from brokers.services.kill_switch import confirm_release, engage, request_release, stop_orders
from brokers.services.submission import OrderSubmission, accept_orders
from brokers.services.synchronization import record_evidence
from reliability.core.breaker import PinnedState
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import AuditEntry, Job
from reliability.services.circuits import pin, unpin
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from tests.brokers.services.orders import BODY, state, submit
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, perform_calls, run_due

pytestmark = pytest.mark.django_db

APPROVE = "reliability.approve_intervention"
RELEASE = "brokers.release_kill_switch"


@pytest.fixture
def persons(db: None) -> tuple[str, str]:
    return make_user(RELEASE, APPROVE, name="ann").get_username(), make_user(
        RELEASE, APPROVE, name="bob"
    ).get_username()


def second_account(account: Account, *, broker: Broker | None = None, name: str = "other") -> Account:
    row = Account.objects.create(name=name, broker=broker or account.broker)
    forget_accounts()
    return row


def test_new_orders_are_refused_with_who_when_and_why(owner: AbstractBaseUser) -> None:
    switch = engage("global", reason="prices look wrong", actor="night")

    with pytest.raises(ReliabilityError) as caught:
        submit(owner, "k1")

    assert caught.value.code == "VALIDATION_TRADING_HALTED"
    assert caught.value.details == {
        "scope": "global",
        "reason": "prices look wrong",
        "engaged_by": "night",
        "engaged_at": switch.engaged_at.isoformat(),
    }
    assert not Order.objects.exists()


def test_a_process_that_has_not_heard_of_it_yet_accepts_nothing_either(
    owner: AbstractBaseUser, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for 250 ms answers callers early; the statement that accepts looks for itself."""
    assert current_halt(get_profile(account.pk)) is None
    monkeypatch.setattr("brokers.services.kill_switch.forget_halts", lambda: None)
    engage("account:desk", reason="drill", actor="night")
    assert current_halt(get_profile(account.pk)) is None

    with pytest.raises(ReliabilityError) as caught:
        submit(owner, "k1")

    assert (caught.value.code, caught.value.details["engaged_by"]) == ("VALIDATION_TRADING_HALTED", "night")
    assert not Order.objects.exists()
    assert not Job.objects.filter(kind="orders.submit").exists()


def test_an_order_accepted_before_is_answered_the_same_afterwards(owner: AbstractBaseUser) -> None:
    first = submit(owner, "k1")
    engage("global", reason="drill", actor="night")

    again = submit(owner, "k1")

    assert (again.id, again.replayed) == (first.id, True)


@pytest.mark.parametrize(
    ("scope", "stopped"), [("account:desk", {"desk"}), ("broker:{broker}", {"desk", "other"}), ("global", None)]
)
def test_a_scope_stops_its_own_accounts_only(
    owner: AbstractBaseUser, account: Account, scope: str, stopped: set[str] | None
) -> None:
    second_account(account)
    elsewhere = Broker.objects.create(name="elsewhere", adapter="fake", base_url="http://127.0.0.1:9")
    second_account(account, broker=elsewhere, name="far")
    names = ("desk", "other", "far")
    engage(scope.format(broker=account.broker_id), reason="drill", actor="night")

    submissions = [OrderSubmission(name, {**BODY, "account": name}) for name in names]
    answers = accept_orders(owner_id=owner.pk, actor="desk", submissions=submissions)

    refused = {name for name, answer in zip(names, answers, strict=True) if isinstance(answer, ReliabilityError)}
    assert refused == (set(names) if stopped is None else stopped)


def test_a_route_goes_on_with_the_accounts_that_are_not_stopped(owner: AbstractBaseUser, account: Account) -> None:
    second_account(account)
    engage("account:desk", reason="drill", actor="night")

    assert submit(owner, "k1", route=["desk", "other"]).account == "other"


def test_what_was_not_sent_is_canceled_at_once(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    order_id = submit(owner, "k1").id
    engage("global", reason="drill", actor="night")
    run_due("orders")

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.error_code, broker.calls) == ("canceled", "VALIDATION_TRADING_HALTED", [])
    event = OrderEvent.objects.get(order=order_id, to_state="canceled")
    assert (event.source, event.actor, event.evidence["reason"]) == ("kill_switch", "night", "drill")


def test_open_orders_are_canceled_before_other_work(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    order_id = submit(owner, "k1").id
    run_due("orders")
    switch = engage("global", reason="drill", actor="night")

    assert Job.objects.get(kind="orders.cancel", subject=order_id).priority == 1
    assert (read_progress(switch).open, read_progress(switch).cancel_pending) == (1, 1)
    run_due("orders")
    assert broker.canceled == ["b-1"]


def test_a_cancel_passes_an_open_circuit_of_orders_and_waits_for_its_own(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    order_id = submit(owner, "k1").id
    run_due("orders")
    profile = get_profile(account.pk)
    orders, cancels = (get_guard(profile, one).circuit for one in (CallClass.ORDERS, CallClass.CANCELS))
    for circuit in (orders, cancels):
        pin(circuit, PinnedState.FORCED_OPEN, 300, "night", "drill")

    engage("global", reason="drill", actor="night")
    run_due("orders")
    assert (broker.canceled, Job.objects.get(kind="orders.cancel", subject=order_id).state) == ([], "ready")

    unpin(cancels)
    make_due(lane="orders")
    run_due("orders")
    assert broker.canceled == ["b-1"]


def test_an_unknown_order_is_left_to_the_look_up_and_canceled_when_found(
    broker: FakeBroker, owner: AbstractBaseUser
) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    order_id = submit(owner, "k1").id
    run_due("orders")
    assert state(order_id) == "unknown"

    engage("global", reason="drill", actor="night")
    assert state(order_id) == "unknown"
    for _ in range(4):
        make_due(lane="orders")
        run_due("orders")

    assert broker.canceled == ["b-1"]


def test_an_unknown_order_that_never_arrived_is_not_sent_again(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    order_id = submit(owner, "k1").id
    run_due("orders")
    Order.objects.filter(pk=order_id).update(sent_at=timezone.now() - timedelta(minutes=1))
    engage("global", reason="drill", actor="night")

    for _ in range(8):
        make_due(lane="orders")
        run_due("orders")

    assert (state(order_id), broker.calls.count("submit"), broker.orders) == ("refused", 1, {})


def test_the_job_finds_what_appears_later_and_ends_with_the_release(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, persons: tuple[str, str]
) -> None:
    order_id = submit(owner, "k1").id
    run_due("orders")
    switch = engage("global", reason="drill", actor="night")
    run_due("orders")
    OrderEvent.objects.get(order=order_id, kind="cancel_taken")
    late = submit_late(owner, account)

    make_due(lane="recovery")
    run_due("recovery")
    assert state(late) == "canceled"
    assert Job.objects.get(kind="orders.stop").state == "ready"

    request_release(switch.pk, by=persons[0], reason="settled")
    confirm_release(switch.pk, by=persons[1])
    make_due(lane="recovery")
    run_due("recovery")
    assert Job.objects.get(kind="orders.stop").state == "succeeded"


def submit_late(owner: AbstractBaseUser, account: Account) -> UUID:
    """An order whose acceptance began before the switch was committed and ended after the first look."""
    KillSwitch.objects.update(released_at=timezone.now(), released_by="x", release_wanted_by="y")
    forget_halts()
    late = submit(owner, "late").id
    KillSwitch.objects.update(released_at=None, released_by="", release_wanted_by="")
    forget_halts()
    return late


def test_an_order_whose_acceptance_overtook_the_switch_is_not_sent(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    engage("global", reason="drill", actor="night")
    late = submit_late(owner, account)

    run_due("orders")

    assert (state(late), broker.calls) == ("canceled", [])


def test_engaged_while_a_batch_is_claimed_what_is_sent_is_canceled(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    ids = [submit(owner, f"k{n}").id for n in range(5)]
    calls, _ = claim_and_prepare("orders", 1, 3)
    switch = engage("global", reason="drill", actor="night")
    apply_outcomes(perform_calls(calls))
    for _ in range(6):
        make_due(lane="orders")
        run_due("orders")

    assert sorted(state(one) for one in ids) == ["canceled", "canceled", "working", "working", "working"]
    assert sorted(broker.canceled) == ["b-1", "b-2", "b-3"]
    switch.refresh_from_db()
    assert (switch.orders_stopped, read_progress(switch).done, read_progress(switch).cancel_pending) == (5, 2, 3)


def test_progress_ends_with_the_last_order(broker: FakeBroker, owner: AbstractBaseUser, account: Account) -> None:
    ids = [submit(owner, f"k{n}").id for n in range(3)]
    run_due("orders")
    switch = engage("global", reason="drill", actor="night")
    run_due("orders")

    for client_id, report in list(broker.orders.items()):
        broker.orders[client_id] = replace(report, status=ReportedStatus.CANCELED)
    record_evidence(account.pk, list(broker.orders.values()), [], "stream")

    assert {state(one) for one in ids} == {"canceled"}
    progress = switch_facts(KillSwitch.objects.get(pk=switch.pk))["progress"]
    assert progress == {"open": 0, "unsent": 0, "cancel_pending": 0, "unknown": 0, "done": 3}


def test_a_refused_cancel_is_asked_for_again_later_and_counted_once(
    broker: FakeBroker, owner: AbstractBaseUser
) -> None:
    order_id = submit(owner, "k1").id
    run_due("orders")
    broker.fail("cancel", call_error(FailureKind.REJECTED))
    switch = engage("global", reason="drill", actor="night")
    run_due("orders")
    assert Order.objects.get(pk=order_id).cancel_requested_at is None
    assert stop_orders(switch.pk) == 0, "not at once"

    with transaction.atomic(), transaction.get_connection().cursor() as cursor:
        cursor.execute("ALTER TABLE brokers_orderevent DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE brokers_orderevent SET recorded_at = recorded_at - interval '1 minute' "
            "WHERE kind = 'cancel_refused'"
        )
        cursor.execute("ALTER TABLE brokers_orderevent ENABLE ALWAYS TRIGGER brokers_orderevent_append_only")
    assert stop_orders(switch.pk) == 1
    run_due("orders")
    assert broker.canceled == ["b-1"]
    assert KillSwitch.objects.get(pk=switch.pk).orders_stopped == 1


# -- release --------------------------------------------------------------------------------


def test_two_persons_release_it_and_orders_are_accepted_again(
    owner: AbstractBaseUser, persons: tuple[str, str]
) -> None:
    switch = engage("global", reason="drill", actor="night")
    request_release(switch.pk, by=persons[0], reason="feed is back")
    with pytest.raises(ReliabilityError, match="HALTED"):
        submit(owner, "k1")

    confirm_release(switch.pk, by=persons[1])

    assert submit(owner, "k1").replayed is False
    assert list(KillSwitchEvent.objects.order_by("id").values_list("kind", "actor")) == [
        ("engaged", "night"),
        ("release_wanted", "ann"),
        ("released", "bob"),
    ]
    actions = AuditEntry.objects.order_by("id").values_list("action", "subject", "reason")
    assert list(actions)[-1] == ("kill_switch_released", "kill_switch:global", "feed is back")


@pytest.mark.parametrize("second", ["ann", "nobody", "carol", "gone", "", "x\0y"])
def test_only_another_active_permitted_person_confirms(persons: tuple[str, str], second: str) -> None:
    make_user(name="carol")
    gone = make_user(RELEASE, APPROVE, name="gone")
    type(gone).objects.filter(pk=gone.pk).update(is_active=False)
    switch = engage("global", reason="drill", actor="night")
    request_release(switch.pk, by="ann", reason="settled")

    with pytest.raises(ReliabilityError) as caught:
        confirm_release(switch.pk, by=second)

    assert caught.value.code == "AUTH_PERMISSION_DENIED"
    assert KillSwitch.objects.get(pk=switch.pk).released_at is None


def test_a_request_is_worth_an_hour_and_nothing_once_its_author_left(persons: tuple[str, str]) -> None:
    switch = engage("global", reason="drill", actor="night")
    with pytest.raises(ReliabilityError, match="Nobody asked"):
        confirm_release(switch.pk, by="bob")

    request_release(switch.pk, by="ann", reason="settled")
    KillSwitch.objects.update(release_wanted_at=timezone.now() - timedelta(minutes=61))
    with pytest.raises(ReliabilityError, match="Nobody asked"):
        confirm_release(switch.pk, by="bob")

    request_release(switch.pk, by="ann", reason="settled")
    get_user_model().objects.filter(username="ann").update(is_active=False)
    with pytest.raises(ReliabilityError, match="no active person"):
        confirm_release(switch.pk, by="bob")


def test_engaging_again_keeps_the_switch_and_voids_the_request(persons: tuple[str, str]) -> None:
    switch = engage("global", reason="drill", actor="night")
    request_release(switch.pk, by="ann", reason="settled")

    again = engage("global", reason="still wrong", actor="day")

    assert (again.pk, again.reason, again.release_wanted_at) == (switch.pk, "drill", None)
    with pytest.raises(ReliabilityError, match="Nobody asked"):
        confirm_release(switch.pk, by="bob")
    assert Job.objects.filter(kind="orders.stop").count() == 1


@pytest.mark.parametrize("scope", ["", "everything", "account:nobody", "broker:nobody", "account:", "broker:a\0b"])
def test_what_names_nothing_stops_nothing(account: Account, scope: str) -> None:
    with pytest.raises(ReliabilityError) as caught:
        engage(scope, reason="drill", actor="night")
    assert caught.value.code == "VALIDATION_INVALID_REQUEST"
    assert not KillSwitch.objects.exists()


@pytest.mark.parametrize("reason", ["", "   ", None, 7])
def test_nothing_is_stopped_or_released_without_a_reason(persons: tuple[str, str], reason: Any) -> None:
    with pytest.raises(ReliabilityError, match="reason"):
        engage("global", reason=reason, actor="night")
    switch = engage("global", reason="drill", actor="night")
    with pytest.raises(ReliabilityError, match="reason"):
        request_release(switch.pk, by="ann", reason=reason)


def test_the_database_itself_wants_two_names_and_keeps_the_history(persons: tuple[str, str]) -> None:
    switch = engage("global", reason="drill", actor="night")
    for wanted, by in (("ann", "ann"), ("", "bob"), ("ann", "")):
        with pytest.raises(IntegrityError), transaction.atomic():
            KillSwitch.objects.filter(pk=switch.pk).update(
                released_at=timezone.now(), release_wanted_by=wanted, released_by=by
            )
    with pytest.raises(DatabaseError), transaction.atomic():
        KillSwitchEvent.objects.all().delete()
