"""Every address, knocked at as nobody and as each role: who gets in is what docs/reference/roles.md says."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Freeze, KillSwitch
from brokers.services.freezes import confirm_freeze_release, freeze_trading, request_freeze_release
from brokers.services.kill_switch import confirm_release, engage, request_release
from config.access import ROLES, Door, Entrance, list_entrances
from config.access_reference import admin_rights
from reliability.core.errors import ReliabilityError
from reliability.models import AuditEntry, ProposedChange
from tests.factories import make_account, make_order, make_user

pytestmark = pytest.mark.django_db

NUMBERS = {
    "uuid": "01900000-0000-7000-8000-000000000000",
    "int": "999999",
    "str": "none",
    "slug": "none",
    "path": "no:ne",
}
ENTRANCES = list_entrances()


@pytest.fixture
def roles(db: None) -> None:
    call_command("prepare_installation")


def person(role: str) -> Any:
    user = make_user(name=f"a-{role}")
    user.groups.add(Group.objects.get(name=role))
    return user


def address(one: Entrance) -> str:
    route = one.route.removeprefix("^").replace(".*$", "nothing")
    return "/" + re.sub(r"<(\w+):\w+>", lambda match: NUMBERS[match[1]], route)


def knock(client: Client, one: Entrance) -> str:
    """Return ``in``, ``refused`` or ``unknown``: whether the caller got past the guard of an address."""
    answer = client.generic(one.method, address(one), "{}", content_type="application/json")
    if answer.status_code == 401 or (answer.status_code == 302 and answer.url.startswith("/admin/login/")):
        return "unknown"
    return "refused" if answer.status_code == 403 else "in"


def test_the_list_of_addresses_is_whole() -> None:
    routes = {one.route for one in ENTRANCES}

    assert len(ENTRANCES) > 130
    assert {"", "api/v1/orders", "kill-switch/engage", "health/live", "metrics"} <= routes
    assert {one.route for one in ENTRANCES if one.door is Door.OPEN} == {"health/live", "health/ready", "^api/.*$"}
    assert not [one for one in ENTRANCES if "nobody.nothing" in one.permissions]


def test_nobody_gets_in_without_a_login() -> None:
    client = Client(raise_request_exception=False)

    got_in = [one for one in ENTRANCES if one.door is not Door.OPEN and knock(client, one) != "unknown"]

    assert got_in == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_gets_in_where_it_may_and_nowhere_else(roles: None, role: str) -> None:
    user = person(role)
    pages = Client(raise_request_exception=False)
    pages.force_login(user)
    _, token = AuthToken.objects.create(user)
    api = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})

    wrong = {}
    for one in ENTRANCES:
        client = (
            api if address(one).startswith(("/api/", "/metrics", "/health/")) and "docs" not in one.route else pages
        )
        expected, got = "in" if one.lets_in(role) else "refused", knock(client, one)
        if got != expected:
            wrong[f"{one.method} {address(one)}"] = got

    assert wrong == {}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_and_adds_the_records_it_may(roles: None, role: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(person(role))

    wrong = {}
    for model, page in admin.site._registry.items():
        rights = admin_rights(page, role)
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for right, letter in (("changelist", "v"), ("add", "a")):
            expected = 200 if letter in rights else 403
            got = client.get(reverse(f"{name}_{right}")).status_code
            if got != expected:
                wrong[f"{name}_{right}"] = got

    assert wrong == {}


def test_the_admin_role_makes_no_superuser_and_raises_not_itself(roles: None) -> None:
    boss = make_user(name="boss")
    boss.is_superuser = True
    boss.save()
    me, other = person("admin"), make_user(name="ann")
    client = Client()
    client.force_login(me)
    operator = Group.objects.get(name="operator").pk
    form = {"is_active": "on", "is_staff": "on", "is_superuser": "on", "groups": [operator]}
    dates = {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}

    for one in (me, other, boss):
        client.post(reverse("admin:auth_user_change", args=[one.pk]), {**form, **dates, "username": one.username})

    for one in (me, other, boss):
        one.refresh_from_db()
    assert [one.is_superuser for one in (me, other, boss)] == [False, False, True]
    assert [list(one.groups.values_list("name", flat=True)) for one in (me, other, boss)] == [
        ["admin"],
        ["operator"],
        [],
    ]
    entries = AuditEntry.objects.filter(action="change_user", subject="user:ann")
    assert [(one.actor, one.after["roles"]) for one in entries] == [("a-admin", ["operator"])]


def test_who_may_switch_an_account_on_and_off_cannot_set_its_credentials(roles: None) -> None:
    account = make_account()
    page = reverse("admin:brokers_account_change", args=[account.pk])
    form = {"name": account.name, "broker": account.broker_id, "api_key": "k", "api_secret": "s"}
    form["change_reason"] = "the old key is a year old"
    proposed = []
    for role in ("operator", "admin"):
        client = Client()
        client.force_login(person(role))
        assert ("api_secret" in client.get(page).content.decode()) is (role == "admin")

        client.post(page, form)

        account.refresh_from_db()
        proposed.append(ProposedChange.objects.count())
    assert proposed == [0, 1]
    assert account.credentials_version == 0
    assert not account.enabled


@pytest.mark.parametrize(
    ("role", "has_order", "moves"), [("operator", False, 0), ("admin", True, 0), ("admin", False, 1)]
)
def test_an_account_is_moved_to_another_broker_by_nobody_once_it_has_orders(
    roles: None, role: str, has_order: bool, moves: bool
) -> None:
    account, other = make_account(), make_account("spare")
    if has_order:
        make_order(account, make_user())
    client = Client()
    client.force_login(person(role))
    form = {"name": "renamed", "broker": other.broker_id, "enabled": "on", "is_default": "on"}

    client.post(reverse("admin:brokers_account_change", args=[account.pk]), form)

    account.refresh_from_db()
    assert account.name == "desk", "orders and limits are known by it"
    assert account.broker_id == ("spare-broker" if moves else "desk-broker")
    assert account.is_default is (role == "admin")
    assert account.enabled


def test_a_broker_stays_where_it_was_asked_while_an_order_is_in_doubt(roles: None) -> None:
    order = make_order(make_account(), make_user(), state="unknown")
    broker = order.account.broker
    page = reverse("admin:brokers_broker_change", args=[broker.pk])
    values = ("mute_after_ms", "call_timeout_ms", "connect_timeout_ms")
    form = {name: getattr(broker, name) for name in values} | {"adapter": "ib", "base_url": "https://api.example.com"}
    assert Client().post(page, form).status_code == 302
    client = Client()
    client.force_login(person("operator"))
    assert client.post(page, form).status_code == 403
    client.force_login(person("admin"))

    refused = client.post(page, form).content.decode()
    broker.refresh_from_db()

    assert "What became of 1 orders is not known yet" in refused
    assert broker.base_url == "http://127.0.0.1:9"

    type(order).objects.update(state="filled", finished_at=timezone.now())
    assert client.post(page, form).status_code == 302
    broker.refresh_from_db()
    assert (broker.base_url, broker.adapter) == ("https://api.example.com", "alpaca")


def test_two_operators_release_nothing_that_needs_a_second_person(roles: None) -> None:
    make_account()
    switch = engage("account:desk", reason="prices look wrong", actor="night")
    scope = parse_freeze_scope("account:desk")
    freeze = freeze_trading(scope, FreezeMode.HALT, FreezeCause.OVERFILL, reason="11 of 10 filled", by="fills")
    request_release(switch.pk, by=person("operator").get_username(), reason="the feed is back")
    request_freeze_release(freeze, by="a-operator", reason="the broker confirmed it")
    other = make_user(name="another-operator")
    other.groups.add(Group.objects.get(name="operator"))
    doors = [
        f"/api/v1/kill-switches/{switch.pk}/release",
        f"/api/v1/freezes/{freeze}/release-confirmation",
        reverse("confirm-release", args=[switch.pk]),
        reverse("confirm-freeze-release", args=[freeze]),
    ]

    def confirm(who: Any) -> list[int]:
        client = Client(raise_request_exception=False)
        client.force_login(who)
        return [client.post(door).status_code for door in doors]

    assert confirm(other) == [403] * 4
    for act, number in ((confirm_release, switch.pk), (confirm_freeze_release, freeze)):
        with pytest.raises(ReliabilityError, match="no active person who may confirm"):
            act(number, by="another-operator")
    assert Freeze.objects.get().released_at is None
    assert KillSwitch.objects.get().released_at is None

    assert confirm(person("approver"))[:2] == [200, 200]
    assert (Freeze.objects.get().released_by, KillSwitch.objects.get().released_by) == ("a-approver",) * 2


def test_who_was_disabled_is_out_at_once(roles: None) -> None:
    user = person("viewer")
    _, token = AuthToken.objects.create(user)
    pages = Client()
    pages.force_login(user)
    assert pages.get("/service-levels").status_code == 200

    user.is_active = False
    user.save()

    assert pages.get("/service-levels").status_code == 302
    answer = Client().get("/api/v1/orders", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_a_page_of_another_site_posts_nothing(roles: None) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.force_login(person("operator"))
    posting = [one for one in ENTRANCES if one.method not in ("GET", "HEAD") and one.lets_in("operator")]

    taken = [address(one) for one in posting if knock(client, one) != "refused"]

    assert taken == []
