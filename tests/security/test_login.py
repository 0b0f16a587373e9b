"""Logging in: guesses wait, other people do not, and a password alone opens nothing where a second factor is wanted."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice
from hypothesis import given
from hypothesis import strategies as st
from knox.models import AuthToken

from config import second_factor
from reliability.core.logins import ADDRESS, PAIR, LoginLimit, caller_address, counted_source
from reliability.core.presentation import instant_text
from reliability.models import AuditEntry, LoginFailure
from reliability.services.logins import begin_login
from tests.factories import TEST_PASSWORD, make_user

LOGIN = "/admin/login/"
T0 = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def person(db: None) -> Any:
    user = make_user("reliability.view_job", "brokers.view_order", name="ann")
    user.is_superuser = True
    user.save()
    return user


@pytest.fixture
def wanted(settings: Any) -> None:
    settings.SECOND_FACTOR = True


def try_login(username: str, password: str, address: str = "203.0.113.7", client: Client | None = None) -> int:
    answer = (client or Client()).post(
        LOGIN, {"username": username, "password": password, "next": "/"}, REMOTE_ADDR=address
    )
    return answer.status_code


# -- guesses ----------------------------------------------------------------------------------


def test_a_hundred_guesses_are_not_looked_at_and_the_person_gets_in_from_elsewhere(person: Any) -> None:
    answers = [try_login("ann", f"wrong-{number}") for number in range(100)]

    assert answers == [200] * PAIR.most + [429] * (100 - PAIR.most)
    assert try_login("ann", TEST_PASSWORD) == 429  # even the right one, from where the guesses come
    assert try_login("ann", TEST_PASSWORD, "198.51.100.1") == 302
    assert LoginFailure.objects.count() == PAIR.most
    assert AuditEntry.objects.filter(action="login_limit_reached").count() == 1


def test_one_address_that_tries_many_names_is_kept_waiting(person: Any) -> None:
    answers = [try_login(f"name-{number}", "guess") for number in range(ADDRESS.most + 3)]

    assert answers == [200] * ADDRESS.most + [429] * 3


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_no_more_are_looked_at_than_one_after_the_other() -> None:
    at_once = 12
    start = threading.Barrier(at_once)

    def guess(number: int) -> bool:
        try:
            start.wait(60)
            return not begin_login("ann", f"2001:db8:1:2::{number:x}")
        finally:
            connection.close()

    with ThreadPoolExecutor(at_once) as threads:
        looked_at = list(threads.map(guess, range(at_once)))

    assert sum(looked_at) == PAIR.most


def test_all_addresses_of_one_network_of_ipv6_are_one_source(person: Any) -> None:
    answers = [try_login("ann", "wrong", f"2001:db8:1:2:{number:x}::1") for number in range(1, PAIR.most + 3)]

    assert answers == [200] * PAIR.most + [429] * 2
    assert try_login("ann", TEST_PASSWORD, "2001:db8:1:3::1") == 302
    assert try_login("ann", TEST_PASSWORD, "198.51.100.1") == 302


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:ffff::7", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_an_address_is_counted_by_what_one_caller_has(address: str, source: str) -> None:
    assert counted_source(address) == source


def test_a_right_password_ends_the_count_and_is_on_record(person: Any) -> None:
    for _ in range(3):
        for _ in range(PAIR.most - 1):
            assert try_login("ann", "wrong") == 200
        assert try_login("ann", TEST_PASSWORD) == 302

    assert not LoginFailure.objects.exists()
    assert AuditEntry.objects.filter(action="login", actor="ann").count() == 3


def test_the_wait_ends(person: Any) -> None:
    for _ in range(PAIR.most + 1):
        try_login("ann", "wrong")
    LoginFailure.objects.update(at=timezone.now() - PAIR.window)

    assert try_login("ann", TEST_PASSWORD) == 302


def test_what_was_typed_as_a_name_is_not_kept(person: Any) -> None:
    try_login("my-password-by-mistake", "x")

    row = LoginFailure.objects.get()
    assert "mistake" not in f"{row.person} {row.address} {row}"


def test_a_name_that_nobody_has_is_answered_like_one_that_somebody_has(person: Any) -> None:
    texts = []
    for name in ("ann", "nobody"):
        page = Client().post(LOGIN, {"username": name, "password": "wrong"}).content.decode()
        texts.append(re.findall(r'class="errornote">\s*(.*?)\s*</p>', page, re.DOTALL))

    assert texts[0] == texts[1] != []


@given(st.integers(1, 60), st.lists(st.integers(0, 4000), max_size=80), st.integers(0, 8000))
def test_never_more_guesses_than_the_limit_in_any_window(most: int, offsets: list[int], later: int) -> None:
    limit = LoginLimit(most, timedelta(minutes=15))
    taken: list[datetime] = []
    for offset in sorted(offsets):
        now = T0 + timedelta(seconds=offset)
        if not limit.wait(taken[::-1], now):
            taken.append(now)

    for first in taken:
        within = [one for one in taken if first <= one < first + limit.window]
        assert len(within) <= most
    assert limit.wait(taken[::-1], T0 + timedelta(seconds=4000 + later)) <= limit.window


@pytest.mark.parametrize(
    ("forwarded", "proxies", "expected"),
    [
        ("", 0, "peer"),
        ("6.6.6.6", 0, "peer"),  # anybody can write that
        ("6.6.6.6, 1.2.3.4", 1, "1.2.3.4"),
        ("6.6.6.6, 1.2.3.4, 10.0.0.1", 2, "1.2.3.4"),
        ("", 1, "peer"),
        ("1.2.3.4", 2, "peer"),
    ],
)
def test_only_our_own_proxies_say_where_a_caller_is(forwarded: str, proxies: int, expected: str) -> None:
    assert caller_address("peer", forwarded, proxies) == expected


# -- the second factor --------------------------------------------------------------------------


def test_a_password_alone_gets_no_page_and_no_answer(person: Any, wanted: None) -> None:
    client = Client()
    assert try_login("ann", TEST_PASSWORD, client=client) == 302

    for path in ("/", "/live", "/admin/", "/admin/brokers/order/", "/incidents", "/no-such-page"):
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert answer.url.startswith("/second-factor?next="), path
    for path in ("/api/v1/orders", "/api/v1/schema", "/metrics", "/health/deep"):
        assert client.get(path).status_code == 403, path
        assert client.get(path, headers={"Authorization": "Basic x"}).status_code == 403, path
    assert client.post("/kill-switch/engage", {"scope": "global", "reason": "r"}).status_code == 302
    assert client.get("/health/live").status_code == 200


def test_a_person_enrols_and_gets_in_with_a_code_that_is_taken_once(person: Any, wanted: None) -> None:
    client = Client()
    try_login("ann", TEST_PASSWORD, client=client)
    page = client.get("/second-factor?next=/incidents").content.decode()
    device = TOTPDevice.objects.get()
    assert second_factor.written_key(device) in page
    assert "data:image/svg+xml" in page
    code = second_factor.present_code(device)
    before = client.session.session_key

    wrong = client.post("/second-factor", {"code": "000000" if code != "000000" else "111111"})
    TOTPDevice.objects.update(throttling_failure_count=0, throttling_failure_timestamp=None)
    right = client.post("/second-factor", {"code": f"{code[:3]} {code[3:]}", "next": "/incidents"})

    assert (wrong.status_code, right.status_code, right.url) == (422, 302, "/incidents")
    assert client.session.session_key != before
    assert client.get("/incidents").status_code == 200
    assert client.get("/api/v1/orders").status_code == 200
    assert AuditEntry.objects.filter(action="enrol_second_factor").count() == 1

    other = Client()
    try_login("ann", TEST_PASSWORD, client=other)
    assert "Set up" not in other.get("/second-factor").content.decode()
    assert other.post("/second-factor", {"code": code}).status_code == 422, "a code is taken once"
    assert other.get("/incidents").status_code == 302


def test_guesses_of_codes_wait_longer_each_time(person: Any, wanted: None) -> None:
    device = TOTPDevice.objects.create(user=person, confirmed=True, name="authenticator")
    client = Client()
    try_login("ann", TEST_PASSWORD, client=client)
    client.post("/second-factor", {"code": "000000"})
    client.post("/second-factor", {"code": "000001"})
    device.refresh_from_db()
    if device.throttling_failure_count == 0:  # one of a million times it is the code
        return
    TOTPDevice.objects.update(throttling_failure_count=12, throttling_failure_timestamp=timezone.now())

    answer = client.post("/second-factor", {"code": second_factor.present_code(device)})

    assert answer.status_code == 422
    assert instant_text(second_factor.waits_until(person)) in answer.content.decode(), "it says until when it waits"


def test_nobody_is_kept_waiting_for_more_than_15_minutes_by_codes_of_others(person: Any, wanted: None) -> None:
    device = TOTPDevice.objects.create(user=person, confirmed=True, name="authenticator")
    client = Client()
    client.force_login(person)
    passed = timezone.now() - second_factor.LONGEST_WAIT
    TOTPDevice.objects.update(throttling_failure_count=30, throttling_failure_timestamp=passed)
    right = second_factor.present_code(device)

    client.post("/second-factor", {"code": f"{(int(right) + 500_000) % 1_000_000:06d}"})

    entries = AuditEntry.objects.filter(action="second_factor_wrong", subject="user:ann")
    assert [one.after for one in entries] == [{"one_after_the_other": 11}]
    until = second_factor.waits_until(person)
    assert until is not None
    assert until - timezone.now() <= timedelta(minutes=15)
    assert client.post("/second-factor", {"code": right}).status_code == 422

    TOTPDevice.objects.update(throttling_failure_timestamp=passed)
    right = second_factor.present_code(TOTPDevice.objects.get())
    assert client.post("/second-factor", {"code": right}).status_code == 302


def test_a_program_with_a_token_needs_no_code(person: Any, wanted: None) -> None:
    _, token = AuthToken.objects.create(person)

    assert Client().get("/api/v1/orders", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_the_way_on_never_leaves_this_site(person: Any) -> None:
    client = Client()
    client.force_login(person)
    client.get("/second-factor")
    code = second_factor.present_code(TOTPDevice.objects.get())

    assert client.post("/second-factor", {"code": code, "next": "https://evil.example/"}).url == "/"


def test_a_lost_one_is_forgotten_on_record_and_enrolled_anew(
    person: Any, wanted: None, capsys: pytest.CaptureFixture[str]
) -> None:
    TOTPDevice.objects.create(user=person, confirmed=True, name="authenticator")
    thief, owner = Client(), Client()  # the thief has the password and a session without a code
    try_login("ann", TEST_PASSWORD, "198.51.100.9", thief)
    assert thief.get("/second-factor").status_code == 200

    call_command("second_factor", "list")
    call_command("second_factor", "forget", "ann", "--reason", "the phone was stolen")

    assert re.search(r"ann +enrolled", capsys.readouterr().out)
    assert thief.get("/second-factor").url.startswith("/admin/login/"), "the key is shown to no session of before"
    assert try_login("ann", TEST_PASSWORD, "198.51.100.9", thief) == 200, "nor to the old password"
    assert not TOTPDevice.objects.exists()
    person.refresh_from_db()
    person.set_password("another good password")
    person.save()
    assert try_login("ann", "another good password", client=owner) == 302
    assert "Set up" in owner.get("/second-factor").content.decode()
    assert AuditEntry.objects.get(action="forget_second_factor").reason == "the phone was stolen"
    with pytest.raises(CommandError):
        call_command("second_factor", "forget", "nobody", "--reason", "r")


def test_no_page_of_the_admin_shows_a_key() -> None:
    assert TOTPDevice not in admin.site._registry
