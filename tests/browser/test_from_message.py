"""From a delivered message to the decision in one click, on the smallest phone; the login in between keeps the way."""

import re
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from brokers.services.unknown_orders import check_unknown_orders
from reliability.core.escalation import TellingReason
from reliability.models import Alert, Intervention
from reliability.services import delivery
from reliability.services.alert_keeper import keep_alerts
from reliability.services.delivery import Message
from tests.factories import TEST_PASSWORD, make_dead_letter, make_order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def message(desk: Any, monkeypatch: pytest.MonkeyPatch) -> Message:
    """What a person is told of an order whose outcome nobody knows."""
    conf = replace(delivery.get_conf(), public_url=desk["url"] + "/")
    monkeypatch.setattr(delivery, "get_conf", lambda: conf)
    order = make_order(desk["account"], desk["person"], state="unknown", sent_at=timezone.now())
    make_dead_letter(kind="orders.submit", subject=order.pk)
    check_unknown_orders()
    keep_alerts()
    asked = Alert.objects.get(condition="intervention.needed")
    assert asked.incident is not None
    alerts = list(Alert.objects.filter(incident=asked.incident).order_by("-severity", "pk"))
    return Message.about(asked.incident, alerts, TellingReason.FIRST)


def test_the_link_of_a_message_opens_the_decision_after_the_login(page: Any, desk: Any, message: Message) -> None:
    (link,) = re.findall(r"^Decide: (\S+)$", message.body, re.MULTILINE)
    question = Intervention.objects.get()
    assert link == f"{desk['url']}/interventions/{question.pk}"
    page.set_viewport_size({"width": 360, "height": 740})

    page.goto(link)
    page.get_by_label("Username").fill("night")
    page.get_by_label("Password").fill(TEST_PASSWORD)
    page.get_by_role("button", name="Log in").click()

    page.wait_for_url(link)
    page.get_by_role("heading", name=question.title).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for name in ("reason-end", "decide-end"):
        box = page.locator(f"#{name}").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 24
    page.locator("#reason-end").fill("their desk says so")
    page.locator("#decide-end").click()
    page.get_by_text("Proposed: another person confirms it.").wait_for()
    assert Intervention.objects.get().proposed_by == "night"
