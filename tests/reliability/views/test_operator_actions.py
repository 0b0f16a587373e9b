"""The buttons of the operator screen: who may press them, and what each leaves behind."""

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from reliability.models import AuditEntry, Job, Lane
from tests.factories import make_dead_letter, make_user

pytestmark = pytest.mark.django_db

ACTIONS = [
    ("/lanes/orders/pause", "reliability.pause_lane"),
    ("/lanes/orders/resume", "reliability.pause_lane"),
    ("/dead-letters/replay", "reliability.operate_deadletter"),
    ("/dead-letters/discard", "reliability.operate_deadletter"),
    ("/orders/01900000-0000-7000-8000-000000000000/cancel", "brokers.submit_order"),
]


def logged_in(*permissions: str, name: str = "", **options: bool) -> Client:
    client = Client(**options)
    client.force_login(make_user(*permissions, name=name))
    return client


def told(response) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.mark.parametrize(("address", "permission"), ACTIONS)
def test_actions_are_posts_by_people_with_the_permission(address, permission):
    assert logged_in(permission).get(address).status_code == 405
    assert logged_in(permission, enforce_csrf_checks=True).post(address).status_code == 403
    assert logged_in().post(address, {"reason": "r"}).status_code == 403
    assert Client().post(address).headers["Location"].startswith("/admin/login/")
    assert logged_in(permission).post(address, {"reason": "r"}).headers["Location"] == "/"


def test_a_lane_is_paused_and_resumed_with_a_reason_on_record():
    client = logged_in("reliability.pause_lane")

    client.post("/lanes/orders/pause", {"reason": "the broker is in maintenance"})
    paused = Lane.objects.get(name="orders")
    client.post("/lanes/orders/resume", {"reason": "it is back"})

    assert (paused.paused_at is not None, paused.paused_reason) == (True, "the broker is in maintenance")
    assert Lane.objects.get(name="orders").paused_at is None
    assert set(AuditEntry.objects.values_list("action", flat=True)) == {"pause_lane", "resume_lane"}


@pytest.mark.parametrize("form", [{}, {"reason": "  "}])
def test_no_lane_is_paused_without_a_reason(form):
    response = logged_in("reliability.pause_lane").post("/lanes/orders/pause", form)

    assert "Give a reason" in told(response)
    assert Lane.objects.get(name="orders").paused_at is None


def test_one_dead_letter_is_replayed_and_several_are_proposed():
    jobs = [make_dead_letter() for _ in range(3)]
    client = logged_in("reliability.operate_deadletter")

    def replay(ids):
        return told(client.post("/dead-letters/replay", {"ids": ids, "reason": "the broker is back"}))

    assert replay([jobs[0].pk]) == "1 dead letter will run again."
    assert "another person confirms the replay" in replay([job.pk for job in jobs[1:]])
    assert list(Job.objects.order_by("pk").values_list("state", flat=True)) == ["ready", "dead", "dead"]


def test_a_discarded_dead_letter_keeps_who_and_why():
    job = make_dead_letter()

    response = logged_in("reliability.operate_deadletter").post(
        "/dead-letters/discard", {"ids": [job.pk], "reason": "placed by telephone"}
    )

    assert told(response) == "1 dead letter discarded."
    assert job.attempts.get(outcome="discarded").error_message == "placed by telephone"


@pytest.mark.parametrize(
    ("ids", "answer"),
    [([], "Choose at least one"), (["x"], "not a list"), (["9" * 30], "not a list"), ([1], "None of these")],
)
def test_an_error_of_a_service_is_told_and_changes_nothing(ids, answer):
    response = logged_in("reliability.operate_deadletter").post("/dead-letters/replay", {"ids": ids, "reason": "r"})

    assert response.status_code == 302
    assert told(response).startswith("Nothing was changed:")
    assert answer in told(response)


@pytest.mark.parametrize("target", ["https://example.org/", "//example.org", "javascript:alert(1)"])
def test_the_way_back_stays_on_this_site(target):
    response = logged_in("reliability.pause_lane").post("/lanes/orders/pause", {"reason": "r", "next": target})

    assert response.headers["Location"] == "/"
