"""A token that is limited to accounts: everything of the others is absent for it, and what is of all is refused."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from knox.models import AuthToken

from brokers.models import Account, Balance, CashEntry, ExternalOrder, Order, Position, TokenLimit
from brokers.services.accounts import forget_accounts
from brokers.services.tokens import issue_token
from config.access import Door, list_entrances
from reliability.models import AuditEntry
from tests.factories import make_account, make_order, make_user
from tests.reliability.api.test_errors import ALL, require_error, send
from tests.security.test_access import address

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99.50"}
READS = ("positions", "balances", "cash-entries", "exposure", "external-orders", "orders", "accounts")
KEPT = {
    *(("GET", f"api/v1/{name}") for name in (*READS, "positions/then", "positions/history", "bars")),
    *(("POST", f"api/v1/{name}") for name in ("orders", "orders:batch", "baskets", "baskets/<uuid:basket_id>/cancel")),
    *((method, "api/v1/orders/<uuid:order_id>") for method in ("GET", "PATCH")),
    ("GET", "api/v1/orders/<uuid:order_id>/history"),
    ("POST", "api/v1/orders/<uuid:order_id>/cancel"),
    ("GET", "api/v1/baskets/<uuid:basket_id>"),
}


@pytest.fixture
def mine() -> Account:
    return make_account("mine", enabled=True)


@pytest.fixture
def theirs() -> Account:
    return make_account("theirs", enabled=True, is_default=True)


@pytest.fixture
def user(mine: Account, theirs: Account) -> Iterator[Any]:
    forget_accounts()  # what is known of accounts is up to a second old
    yield make_user(*ALL)
    forget_accounts()


def caller(user: Any, *accounts: str) -> Client:
    _, token = issue_token(user, days=1, accounts=accounts, actor="test")
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token}"})


def post(client: Client, path: str, body: Any, key: str) -> Any:
    return send(client, "POST", path, body, headers={"Idempotency-Key": key})


def basket(*accounts: str) -> dict[str, Any]:
    return {"legs": [{**BODY, "account": account} for account in accounts]}


def test_every_address_that_answers_for_all_accounts_refuses_it(user: Any) -> None:
    type(user).objects.filter(pk=user.pk).update(is_superuser=True)
    client = caller(user, "mine")

    let_in = set()
    for one in list_entrances():
        if one.door is Door.GUARDED and one.route.startswith(("api/", "metrics", "health/")):
            answer = client.generic(one.method, address(one), "{}", content_type="application/json")
            if answer.status_code != 403:
                let_in.add((one.method, one.route))
            else:
                require_error(answer, 403, "AUTH_PERMISSION_DENIED")

    assert let_in == KEPT
    asks_no_permission = {one.route for one in list_entrances() if one.door is Door.ANYBODY and "api/" in one.route}
    assert asks_no_permission <= {"api/v1/errors/catalog", "api/v1/schema", "api/v1/docs/", "api/v1/openapi.json"}


def test_orders_go_to_its_accounts_alone(user: Any) -> None:
    limited = caller(user, "mine")
    assert post(limited, "/api/v1/orders", {**BODY, "account": "mine"}, "a").json()["account"] == "mine"

    outside: list[dict[str, Any]] = [{"account": "theirs"}, {}, {"route": ["mine", "theirs"]}, {"account": "nobody"}]
    answers = [post(limited, "/api/v1/orders", {**BODY, **where}, f"b{n}") for n, where in enumerate(outside)]
    texts = [require_error(answer, 422, "VALIDATION_INVALID_ORDER")["error"]["details"] for answer in answers]

    no_default = "there is no default account: name one"
    theirs, nobody = "there is no account called 'theirs'", "there is no account called 'nobody'"
    assert texts == [{"account": [text]} for text in (theirs, no_default, theirs, nobody)]
    batch = [
        {"idempotency_key": f"c{n}", "order": {**BODY, "account": name}} for n, name in enumerate(["theirs", "mine"])
    ]
    results = send(limited, "POST", "/api/v1/orders:batch", {"orders": batch}).json()["results"]
    assert [one["status"] for one in results] == [422, 202]
    assert set(Order.objects.values_list("account__name", flat=True)) == {"mine"}


def test_the_key_of_an_order_it_may_not_see_tells_nothing_of_it(user: Any) -> None:
    whole, limited = caller(user), caller(user, "mine")
    hidden = post(whole, "/api/v1/orders", BODY, "same").json()["id"]
    routed = {**BODY, "route": ["theirs", "mine"]}
    post(whole, "/api/v1/orders", routed, "routed")

    for key, body in (("same", {**BODY, "account": "mine"}), ("routed", {**BODY, "account": "mine"})):
        document = require_error(post(limited, "/api/v1/orders", body, key), 409, "VALIDATION_IDEMPOTENCY_CONFLICT")
        assert hidden not in str(document)
        assert "order_id" not in document["error"]["details"]
    Account.objects.update(is_default=False)
    assert "order_id" not in str(
        require_error(post(limited, "/api/v1/orders", BODY, "same"), 422, "VALIDATION_INVALID_ORDER")
    )
    assert post(whole, "/api/v1/orders", routed, "routed")["Idempotent-Replayed"] == "true"


def test_orders_of_others_are_neither_read_nor_canceled_nor_replaced(user: Any, mine: Account, theirs: Account) -> None:
    limited = caller(user, "mine")
    own, other = make_order(mine, user), make_order(theirs, user)

    def knock(order: Any) -> list[Any]:
        path = f"/api/v1/orders/{order}"
        key = {"Idempotency-Key": f"r-{order}"}
        replace = limited.patch(path, {"limit_price": "98"}, content_type="application/json", headers=key)
        return [limited.get(path), limited.get(f"{path}/history"), replace, limited.post(f"{path}/cancel")]

    absent = [one.json()["error"] for one in knock("01900000-0000-7000-8000-000000000000")]
    foreign = [one.json()["error"] for one in knock(other.pk)]

    told = [[(one["code"], one["message"]) for one in errors] for errors in (absent, foreign)]
    assert told[0] == told[1] == [("VALIDATION_NOT_FOUND", "There is no such order.")] * 4
    assert [one.status_code for one in knock(own.pk)][:3] == [200, 200, 202]
    other.refresh_from_db()
    assert other.cancel_requested_at is None
    assert not Order.objects.filter(replaces=other.pk).exists()


def test_baskets_with_a_leg_elsewhere_are_not_there(user: Any) -> None:
    whole, limited = caller(user), caller(user, "mine")
    mixed = post(whole, "/api/v1/baskets", basket("mine", "theirs"), "mixed").json()["id"]
    own = post(limited, "/api/v1/baskets", basket("mine", "mine"), "own").json()["id"]

    assert limited.get(f"/api/v1/baskets/{own}").status_code == 200
    for answer in (limited.get(f"/api/v1/baskets/{mixed}"), limited.post(f"/api/v1/baskets/{mixed}/cancel")):
        require_error(answer, 404, "VALIDATION_NOT_FOUND")
    refused = require_error(
        post(limited, "/api/v1/baskets", basket("mine", "theirs"), "mixed"), 422, "VALIDATION_INVALID_ORDER"
    )
    assert refused["error"]["details"] == {"legs[1].account": ["there is no account called 'theirs'"]}
    taken = post(limited, "/api/v1/baskets", basket("mine", "mine"), "mixed")
    assert "basket_id" not in require_error(taken, 409, "VALIDATION_IDEMPOTENCY_CONFLICT")["error"]["details"]
    assert whole.get(f"/api/v1/baskets/{mixed}").json()["state"] != "canceling"


def test_what_it_reads_is_of_its_accounts(user: Any, mine: Account, theirs: Account) -> None:
    for account in (mine, theirs):
        make_order(account, user)
        Position.objects.create(account=account, symbol="AAPL", quantity=Decimal(3), average_price=Decimal(10))
        money = dict.fromkeys(("cash", "equity", "buying_power", "held_by_orders"), Decimal(5))
        Balance.objects.create(account=account, currency="USD", asked_at=timezone.now(), **money)
        CashEntry.objects.create(account=account, kind="fee", amount=Decimal(-1), currency="USD", reason="r", actor="a")
        ExternalOrder.objects.create(
            account=account, broker_order_id="x", symbol="AAPL", side="buy", quantity=1, status="working"
        )
    limited, whole = caller(user, "mine"), caller(user)

    def seen(client: Client, query: str = "") -> list[set[str]]:
        answers = [client.get(f"/api/v1/{name}{query}").json()["results"] for name in READS]
        return [{one.get("account") or one["name"] for one in rows} for rows in answers]

    assert seen(limited) == [{"mine"}] * len(READS)
    assert seen(limited, "?account=theirs")[:-1] == [set()] * (len(READS) - 1)
    assert seen(whole) == [{"mine", "theirs"}] * len(READS)


def test_a_token_keeps_its_limit_when_its_account_is_gone_and_loses_it_with_itself(user: Any, mine: Account) -> None:
    limited = caller(user, "mine")
    mine.streamsession.delete()
    mine.delete()

    assert limited.get("/api/v1/accounts").json() == {"results": []}
    assert limited.get("/api/v1/circuits").status_code == 403
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM knox_authtoken WHERE user_id = %s", [user.pk])
    assert not TokenLimit.objects.exists()


def test_the_command_makes_one_and_says_what_it_does_not_know(user: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="there is no account called 'elsewhere'"):
        call_command("create_token", user.username, "--account=mine", "--account=elsewhere")
    assert not AuthToken.objects.exists()

    call_command("create_token", user.username, "--account=mine")

    token = capsys.readouterr().out.strip()
    client = Client(headers={"Authorization": f"Bearer {token}"})
    assert [one["name"] for one in client.get("/api/v1/accounts").json()["results"]] == ["mine"]
    assert AuditEntry.objects.get(action="create_token").after["accounts"] == ["mine"]


def test_an_admin_makes_one_on_its_page_and_sees_it_once(user: Any, mine: Account) -> None:
    admin = make_user("knox.view_authtoken", "knox.add_authtoken", name="boss")
    client = Client()
    client.force_login(admin)
    program = make_user("brokers.view_account", name="program")
    page = reverse("admin:knox_authtoken_add")
    assert "STANCHION_TOKEN_DAYS" in client.get(page).content.decode()

    answer = client.post(page, {"user": program.pk, "days": "2", "accounts": [mine.pk]})

    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    token = answer.content.decode().split('<code id="token">')[1].split("<")[0]
    api = Client(headers={"Authorization": f"Bearer {token}"})
    assert [one["name"] for one in api.get("/api/v1/accounts").json()["results"]] == ["mine"]
    row = AuthToken.objects.get()
    assert row.expiry - row.created < timedelta(days=2, minutes=1)
    listed = client.get(reverse("admin:knox_authtoken_changelist")).content.decode()
    assert "mine" in listed
    assert token not in listed
    detail = client.get(reverse("admin:knox_authtoken_change", args=[row.pk])).content.decode()
    assert "mine" in detail
    assert token not in detail
    assert AuditEntry.objects.get(action="create_token").actor == "boss"


@pytest.mark.parametrize("days", ["0", "-1", "nan", "4000"])
def test_the_page_refuses_impossible_days(user: Any, days: str) -> None:
    client = Client()
    client.force_login(make_user("knox.view_authtoken", "knox.add_authtoken"))

    assert client.post(reverse("admin:knox_authtoken_add"), {"user": user.pk, "days": days}).status_code == 200
    assert not AuthToken.objects.exists()


def test_the_page_makes_none_for_superusers_and_second_persons(user: Any) -> None:
    client = Client()
    client.force_login(make_user("knox.view_authtoken", "knox.add_authtoken"))
    approver, boss = make_user("reliability.approve_intervention"), make_user(name="root")
    type(boss).objects.filter(pk=boss.pk).update(is_superuser=True)

    for one in (approver, boss):
        client.post(reverse("admin:knox_authtoken_add"), {"user": one.pk})

    assert not AuthToken.objects.exists()
