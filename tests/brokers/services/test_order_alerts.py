"""Orders nobody knows the outcome of reach a person."""

from datetime import timedelta

import pytest
from django.utils import timezone

from brokers.models import Order
from brokers.services.order_alerts import check_unknown_orders
from reliability.models import Alert
from tests.factories import make_account, make_dead_letter, make_order, make_user

pytestmark = pytest.mark.django_db


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
