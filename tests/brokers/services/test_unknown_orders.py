"""Orders nobody knows the outcome of reach a person."""

from datetime import timedelta

import pytest
from django.utils import timezone

from brokers.models import Order, OrderEvent
from brokers.services.unknown_orders import check_unknown_orders
from reliability.models import Alert, Intervention, Job
from tests.factories import make_account, make_dead_letter, make_order, make_user
from tests.reliability.views.test_operator_actions import logged_in, told

pytestmark = pytest.mark.django_db

MAY = (
    "reliability.view_intervention",
    "reliability.handle_intervention",
    "reliability.approve_intervention",
    "brokers.decide_order",
)


def test_an_order_that_only_a_person_can_decide_raises_an_alert_until_it_is_known():
    account, owner = make_account(), make_user()
    order = make_order(account, owner, state="unknown", sent_at=timezone.now())
    make_order(account, owner, state="unknown", sent_at=timezone.now())
    make_dead_letter(kind="orders.submit", subject=order.pk)

    check_unknown_orders()
    alert = Alert.objects.get()
    assert (alert.condition, alert.scope) == ("intervention.needed", f"order:{order.pk}")
    assert alert.message == "The order buy 10 AAPL on desk waits for your decision."
    assert alert.details["account"] == "desk"

    Order.objects.filter(pk=order.pk).update(state="working")
    check_unknown_orders()
    assert Alert.objects.get().state == "resolved"


def test_an_order_unknown_for_a_minute_is_critical():
    order = make_order(make_account(), make_user(), state="unknown", sent_at=timezone.now() - timedelta(seconds=61))

    check_unknown_orders()
    check_unknown_orders()

    alert = Alert.objects.get()
    assert (alert.condition, alert.scope, alert.severity) == ("order.unknown_aged", f"order:{order.pk}", 1)


def test_two_persons_end_an_order_that_never_arrived() -> None:
    order = waiting_order()
    ann, bob = (logged_in(*MAY, name=name) for name in ("ann", "bob"))
    pk = Intervention.objects.get().pk
    address = f"/interventions/{pk}"

    assert "It never reached the broker" in ann.get(address).content.decode()
    assert told(ann.post(address + "/decide", {"choice": "end", "reason": "their desk says so"})).startswith("Proposed")
    assert "Another person" in told(ann.post(address + "/confirm"))
    assert Order.objects.get(pk=order.pk).state == "unknown"
    assert 'id="confirm"' in bob.get(address).content.decode()
    assert (
        told(bob.post(address + "/confirm", {"proposal": Intervention.objects.get().proposal}))
        == "The order is ended: it never reached the broker."
    )

    assert Order.objects.get(pk=order.pk).state == "refused"
    assert OrderEvent.objects.get(order=order, kind="decided_absent").actor == "ann and bob"
    assert (Alert.objects.get().state, Alert.objects.get().resolved_by) == ("resolved", "bob")
    assert "Nothing was changed" not in told(bob.post(address + "/confirm")), "the same again changes nothing"
    check_unknown_orders()
    assert Intervention.objects.get().state == "decided"


def test_looking_again_needs_nobody_else_and_leaves_the_question() -> None:
    order = waiting_order()
    pk = Intervention.objects.get().pk

    answer = logged_in(*MAY).post(f"/interventions/{pk}/decide", {"choice": "look", "reason": "once more"})

    assert told(answer) == "Done; the question stays."
    assert Job.objects.filter(kind="orders.check", subject=order.pk).exists()
    assert Intervention.objects.get().state == "open"


def test_the_page_of_the_order_proposes_and_another_person_confirms() -> None:
    order = waiting_order()
    address = f"/admin/brokers/order/{order.pk}/decide/"
    may = ("brokers.view_order", *MAY)
    ann, bob = logged_in(*may, name="ann"), logged_in(*may, name="bob")

    ann.post(address, {"decision": "end", "reason": "their desk says so"})
    assert Order.objects.get(pk=order.pk).state == "unknown"
    ann.post(address, {"decision": "confirm"})
    assert Order.objects.get(pk=order.pk).state == "unknown"
    assert "ann proposes" in bob.get(address).content.decode()
    bob.post(address, {"decision": "confirm", "proposal": Intervention.objects.get().proposal})
    assert Order.objects.get(pk=order.pk).state == "refused"


def waiting_order() -> Order:
    order = make_order(make_account(), make_user(), state="unknown", sent_at=timezone.now())
    make_dead_letter(kind="orders.submit", subject=order.pk)
    check_unknown_orders()
    return order
