"""The operator screen and the page of an order: what they show, to whom, at what cost."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.factories import make_account, make_dead_letter, make_order, make_process, make_user

pytestmark = pytest.mark.django_db

VIEWER = (
    "brokers.view_order", "brokers.submit_order", "reliability.view_job", "reliability.view_heartbeat",
    "reliability.pause_lane", "reliability.operate_deadletter",
)  # fmt: skip
HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def operator():
    return make_user(*VIEWER)


@pytest.fixture
def client(operator):
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def account():
    return make_account()


def test_the_screen_needs_a_login():
    assert Client().get("/").headers["Location"] == "/admin/login/?next=/"
    assert Client().get("/live").status_code == 302


def test_the_screen_shows_what_needs_a_person_and_counts_it_in_the_title(client, account, operator):
    make_order(account, operator, state="unknown", symbol="TSLA")
    make_dead_letter(error_message="nobody answered")
    make_process("sentinel", ended_at=timezone.now(), end_reason="died")

    page = client.get("/").content.decode()

    assert "<title>(3) Stanchion</title>" in page
    assert all(text in page for text in ("TSLA", "nobody answered", "sentinel", "unknown", "died"))


def test_an_account_whose_stream_is_down_says_why(client, account):
    type(account.streamsession).objects.update(state="down", last_error="the network is gone")

    page = client.get("/").content.decode()

    assert "the network is gone" in page
    assert "<title>(1) Stanchion</title>" in page


def test_what_others_wrote_is_escaped(client, account, operator):
    order = make_order(account, operator, error_code="X", error_message=HOSTILE, correlation_id=HOSTILE)
    make_dead_letter(error_message=HOSTILE, error_code=HOSTILE, kind=HOSTILE)
    make_process(HOSTILE)

    for address in ("/", f"/orders/{order.pk}", "/live"):
        page = client.get(address).content.decode()
        assert HOSTILE not in page
        assert "&lt;img" in page


def test_a_person_sees_only_what_they_may(account, operator):
    order = make_order(account, operator, symbol="TSLA")
    make_dead_letter(error_message="nobody answered")
    client = Client()
    client.force_login(make_user())

    page = client.get("/").content.decode()

    assert "TSLA" not in page
    assert "nobody answered" not in page
    assert client.get(f"/orders/{order.pk}").status_code == 403


def test_buttons_are_shown_to_those_who_may_press_them(account, operator):
    order = make_order(account, operator)
    make_dead_letter()
    client = Client()
    client.force_login(make_user("brokers.view_order", "reliability.view_job"))

    pages = client.get("/").content.decode() + client.get(f"/orders/{order.pk}").content.decode()

    assert not re.search(r"<button[^>]*>(Replay|Discard|Pause|Resume|Cancel)", pages)


def test_the_screen_asks_the_same_few_questions_however_much_there_is(client, account, operator):
    def fill(rows: int) -> None:
        for _ in range(rows):
            make_order(account, operator)
            make_order(account, operator, state="filled")
            make_dead_letter()
            make_process()

    def questions() -> tuple[int, str]:
        with CaptureQueriesContext(connection) as asked:
            page = client.get("/").content.decode()
        return len(asked), page

    questions()  # what is asked once in the life of a process
    fill(1)
    few, _ = questions()
    fill(40)
    many, page = questions()

    assert many == few
    assert many <= 40, "one or two for each panel"
    assert page.count('<tr id="order-') <= 35
    assert page.count('<tr id="dead-') <= 10


def test_the_live_part_is_not_sent_again_while_nothing_changed(client, account, operator):
    make_order(account, operator)
    first = client.get("/live")

    same = client.get("/live", headers={"If-None-Match": first.headers["ETag"]})
    make_order(account, operator)
    changed = client.get("/live", headers={"If-None-Match": first.headers["ETag"]})

    assert (first.status_code, same.status_code, changed.status_code) == (200, 304, 200)
    assert same.content == b""


def test_the_order_page_shows_terms_history_and_jobs(client, account, operator, django_assert_max_num_queries):
    order = make_order(account, operator, state="unknown")
    make_dead_letter(subject=order.pk, kind="orders.submit", error_message="gave up")

    with django_assert_max_num_queries(14):
        page = client.get(f"/orders/{order.pk}").content.decode()

    assert all(
        text in page for text in ("buy 10 AAPL limit 12.5", "orders.submit", "gave up", "the last one", "accepted")
    )
    assert "outcome is not known" in page


def test_an_order_that_was_not_sent_is_canceled_at_once(client, account, operator):
    order = make_order(account, operator, state="accepted")

    response = client.post(f"/orders/{order.pk}/cancel", {"next": f"/orders/{order.pk}"}, follow=True)

    order.refresh_from_db()
    assert order.state == "canceled"
    assert order.events.last().actor == operator.get_username()
    assert "it was never sent" in response.content.decode()


def test_a_final_order_cannot_be_canceled(client, account, operator):
    order = make_order(account, operator, state="filled")

    response = client.post(f"/orders/{order.pk}/cancel", follow=True)

    assert "Nothing was changed" in response.content.decode()


def test_pages_that_are_not_there_or_break_need_no_database(client, monkeypatch):
    from config import screen

    missing = client.get("/nowhere")
    monkeypatch.setattr(screen, "list_processes", lambda: 1 / 0)
    client.raise_request_exception = False
    broken = client.get("/")

    assert (missing.status_code, broken.status_code) == (404, 500)
    assert b"There is no such page" in missing.content
    assert b"This page could not be made" in broken.content
    assert b"Traceback" not in broken.content


@pytest.mark.parametrize("address", ["/", "/admin/", "/api/v1/docs/", "/nowhere", "/admin/login/"])
def test_every_page_forbids_inline_scripts_and_foreign_sources(client, address):
    response = client.get(address)

    policy = response.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    page = response.content.decode()
    assert not re.search(r"<script(?![^>]*\b(src|type=\"application/json\"))[^>]*>", page)
    assert not re.search(r"(src|href)=\"(https?:)?//(?!127\.0\.0\.1)", page)
