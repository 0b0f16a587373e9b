"""What people do about incidents, decisions and runbooks, done by a browser; two persons where two decide."""

import os
from typing import Any

import pytest
from django.utils import timezone

from brokers.models import Order
from brokers.services.unknown_orders import check_unknown_orders
from reliability.models import Alert, Incident, Intervention, RunbookExecution
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alerting import raise_alert
from reliability.services.incident_decisions import acknowledge_incident
from reliability.services.runbooks import start_runbook
from tests.factories import TEST_PASSWORD, make_dead_letter, make_order, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def handle(desk: Any) -> tuple[int, int, int]:
    """Return an incident somebody works on, a question, and a runbook that is followed."""
    raise_alert("stream.silent", "account:desk", message="The order stream of desk is down: refused")
    order = make_order(desk["account"], desk["person"], state="unknown", sent_at=timezone.now())
    make_dead_letter(kind="orders.submit", subject=order.pk)
    check_unknown_orders()
    keep_alerts()
    incident = Incident.objects.filter(domain="broker").latest("id")
    acknowledge_incident(incident.pk, actor="night")
    execution = start_runbook("alert:stream.silent", "account:desk", actor="night", incident_id=incident.pk)
    return incident.pk, Intervention.objects.latest("id").pk, execution.pk


def shoot(page: Any, name: str) -> None:
    """Keep a picture where STANCHION_SHOTS names a folder."""
    if os.environ.get("STANCHION_SHOTS"):
        page.screenshot(path=f"{os.environ['STANCHION_SHOTS']}/{name}.png", full_page=True)


def log_in(page: Any, desk: Any, name: str) -> None:
    page.goto(desk["url"] + "/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(TEST_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(desk["url"] + "/")


def test_an_incident_is_browsed_and_its_alert_acknowledged(screen: Any, desk: Any) -> None:
    raise_alert("circuit.opened", "circuit:sim-a:orders", message="The circuit sim-a:orders opened.")
    keep_alerts()
    screen.reload()
    alert = Alert.objects.get(condition="circuit.opened")
    screen.locator(f"#acknowledge-{alert.pk}").click()
    screen.get_by_text("1 alert acknowledged").wait_for()
    shoot(screen, "operator-screen")

    screen.get_by_role("link", name="Incidents", exact=True).first.click()
    screen.get_by_role("link", name=f"INC-{alert.incident_id}").click()
    screen.get_by_label("What, or why").fill("routed to the other broker")
    screen.get_by_role("button", name="It does no harm any more").click()
    screen.get_by_text("It does no harm any more; it is resolved").wait_for()
    shoot(screen, "incident")
    incident = Incident.objects.get(pk=alert.incident_id)
    assert (incident.state, incident.acknowledged_by) == ("mitigated", "night")


def test_two_persons_decide_on_the_width_of_a_phone(screen: Any, desk: Any, chromium: Any, watch: Any) -> None:
    _, pk, _ = handle(desk)
    screen.set_viewport_size({"width": 390, "height": 844})
    screen.goto(f"{desk['url']}/interventions/{pk}")
    screen.get_by_role("button", name="Claim it").click()
    screen.get_by_text("It is yours until").wait_for()
    screen.locator("#reason-end").fill("their desk says so")
    screen.locator("#decide-end").click()
    screen.get_by_text("Proposed: another person confirms it.").wait_for()
    shoot(screen, "intervention")
    assert screen.evaluate("document.documentElement.scrollWidth") <= 390
    assert screen.locator("#confirm").count() == 0

    second = make_user(name="day")
    type(second).objects.filter(pk=second.pk).update(is_superuser=True)
    context = chromium.new_context()
    other = context.new_page()
    watch.follow(other)
    log_in(other, desk, "day")
    other.goto(f"{desk['url']}/interventions/{pk}")
    other.locator("#confirm").click()
    other.get_by_text("The order is ended: it never reached the broker.").first.wait_for()
    context.close()

    decided = Intervention.objects.get(pk=pk)
    assert (decided.proposed_by, decided.decided_by) == ("night", "day")
    assert Order.objects.get(pk=decided.subject.removeprefix("order:")).state == "refused"


def test_a_runbook_is_followed_from_an_alert(screen: Any, desk: Any) -> None:
    raise_alert("lane.late", "lane:orders", message="The lane orders is paused: due work waits.")
    screen.goto(desk["url"] + "/")
    screen.get_by_role("link", name="Runbook of lane.late").click()
    screen.get_by_role("button", name="Follow it").click()
    for number in (0, 1):
        screen.locator(f"#note-{number}").fill("seen")
        screen.locator(f"#do-{number}").click()
        screen.locator(f"#step-{number + 1}[aria-current]").wait_for()
    screen.locator("#plan-2").click()
    screen.get_by_text("It would do this: It is not paused: nothing to do.").wait_for()
    shoot(screen, "runbook")
    screen.locator("#do-2").click()
    screen.locator("#step-3[aria-current]").wait_for()
    assert RunbookExecution.objects.get().step == 3
