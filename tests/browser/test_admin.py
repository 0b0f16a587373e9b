"""The admin and the API documentation in a browser."""

from typing import Any

import pytest

from brokers.models import Account
from brokers.services.credentials import read_credentials
from reliability.models import AuditEntry, Job, Lane, ProposedChange
from reliability.services.changes import confirm_change
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)

MODELS = [
    "reliability/job", "reliability/jobattempt", "reliability/deadletter", "reliability/lane", "reliability/heartbeat",
    "reliability/auditentry", "brokers/order", "brokers/orderevent", "brokers/fill", "brokers/position",
    "brokers/positionevent", "brokers/instrument", "brokers/streamsession", "brokers/streamchange",
    "brokers/account", "brokers/broker",
    "knox/authtoken", "django_celery_beat/periodictask", "django_celery_beat/crontabschedule", "auth/user",
]  # fmt: skip


def test_every_list_and_its_first_record_open(screen: Any, desk: Any) -> None:
    for model in MODELS:
        answer = screen.goto(f"{desk['url']}/admin/{model}/")
        assert answer.status == 200, model
        first = screen.locator("#result_list tbody th a, #result_list tbody td:not(.action-checkbox) a").first
        if first.count():
            with screen.expect_navigation() as opened:
                first.click()
            assert opened.value.status == 200, model


def test_records_cannot_be_added_changed_or_deleted(screen: Any, desk: Any) -> None:
    order = f"{desk['url']}/admin/brokers/order/{desk['order'].pk}"
    screen.goto(f"{order}/change/")

    assert screen.locator("#order_form input[type=submit]").count() == 0
    for address in (f"{order}/delete/", f"{desk['url']}/admin/brokers/order/add/"):
        assert screen.request.get(address).status == 403


def test_dead_letters_are_decided_on_after_a_question(screen: Any, desk: Any) -> None:
    screen.goto(f"{desk['url']}/admin/reliability/deadletter/")
    screen.locator("#action-toggle").check()
    screen.get_by_label("Action:").select_option("discard")
    screen.get_by_role("button", name="Go").click()
    assert "Discard 3 dead letters" in screen.locator("h1").inner_text()

    screen.get_by_label("Reason").fill("placed by telephone")
    screen.get_by_role("button", name="Discard 3").click()

    screen.get_by_text("3 dead letters discarded.").wait_for()
    assert set(Job.objects.values_list("state", flat=True)) == {"discarded"}


def test_one_dead_letter_is_replayed_from_its_page(screen: Any, desk: Any) -> None:
    job = desk["dead"][0]
    screen.goto(f"{desk['url']}/admin/reliability/deadletter/{job.pk}/change/")
    assert "the last one" in screen.locator("main").inner_text()

    screen.get_by_label("Reason").fill("the broker is back")
    screen.get_by_role("button", name="Replay").click()

    screen.get_by_text("1 dead letter will run again.").wait_for()
    assert Job.objects.get(pk=job.pk).state == "ready"


def test_credentials_go_in_and_never_come_out(screen: Any, desk: Any) -> None:
    address = f"{desk['url']}/admin/brokers/account/{desk['account'].pk}/change/"
    screen.goto(address)
    screen.get_by_label("New API key").fill("KEY-4711")
    screen.get_by_label("New API secret").fill("SECRET-4711")
    screen.get_by_label("Reason").fill("the old key is a year old")
    screen.get_by_role("button", name="Save", exact=True).click()
    screen.get_by_text("another person confirms it within the hour").wait_for()
    change = ProposedChange.objects.get()
    screen.goto(f"{desk['url']}/changes/{change.pk}")
    assert "4711" not in screen.content()
    assert screen.get_by_role("button", name="Confirm as the second person").count() == 0, "one's own proposal"
    second = make_user("reliability.approve_intervention", name="second")
    confirm_change(change.pk, by=second.get_username(), proposal=change.proposal)

    account = Account.objects.get()
    assert read_credentials(account) == {"api_key": "KEY-4711", "api_secret": "SECRET-4711"}
    screen.goto(address)
    assert "4711" not in screen.content()
    entries = list(AuditEntry.objects.values())
    assert entries
    assert "4711" not in str(entries)


def test_an_unencrypted_foreign_address_is_refused(screen: Any, desk: Any) -> None:
    screen.goto(f"{desk['url']}/admin/brokers/broker/desk-broker/change/")
    screen.get_by_role("textbox", name="Base url:", exact=True).fill("http://broker.example.org/")
    screen.get_by_role("button", name="Save", exact=True).click()

    screen.locator("main").get_by_text("Use https://").first.wait_for()


def test_a_change_of_a_lane_is_on_record(screen: Any, desk: Any) -> None:
    screen.goto(f"{desk['url']}/admin/reliability/lane/orders/change/")
    screen.get_by_label("Concurrency").fill("7")
    screen.get_by_role("button", name="Save", exact=True).click()
    screen.get_by_text("was changed successfully").wait_for()

    assert Lane.objects.get(name="orders").concurrency == 7
    assert AuditEntry.objects.get(action="set_lane_concurrency").after == {"concurrency": 7}


def test_the_api_documentation_lists_and_opens_operations(screen: Any, desk: Any) -> None:
    screen.goto(f"{desk['url']}/api/v1/docs/")

    operation = screen.locator(".opblock", has_text="/api/v1/orders:batch").first
    operation.wait_for()
    operation.locator("button").first.click()
    operation.get_by_text("Parameters").first.wait_for()
