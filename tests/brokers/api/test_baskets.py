"""Baskets over HTTP: accepted once, read, canceled, and refused in the error format."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from brokers.models import Account, Basket
from brokers.services.baskets.acceptance import accept_basket
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PATH = "/api/v1/baskets"
LEG: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": 10}
BODY = {"legs": [LEG, {**LEG, "quantity": "0.5"}], "leg_order": "parallel"}


@pytest.fixture
def client(account: Account) -> Client:
    client = Client()
    client.force_login(make_user("brokers.submit_order", "brokers.view_order"))
    return client


def post(client: Client, body: Any = BODY, key: str = "b1", path: str = PATH) -> Any:
    return client.post(path, body, content_type="application/json", headers={"Idempotency-Key": key} if key else {})


def test_a_basket_is_accepted_once_and_read(client: Client) -> None:
    first, again = post(client), post(client)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]
    body = client.get(first.headers["Location"]).json()
    assert (body["state"], body["final"], [leg["number"] for leg in body["legs"]]) == ("working", False, [1, 2])
    assert Basket.objects.count() == 1


def test_a_basket_is_canceled(client: Client) -> None:
    basket = post(client).json()["id"]
    answer = post(client, {"reason": "a mistake"}, path=f"{PATH}/{basket}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "compensating")
    assert answer.json()["error_message"] == "a mistake"


@pytest.mark.parametrize(
    ("body", "key", "status", "code"),
    [
        (BODY, "", 400, "VALIDATION_MISSING_IDEMPOTENCY_KEY"),
        ({"legs": [LEG]}, "b", 422, "VALIDATION_INVALID_ORDER"),
        ([], "b", 422, "VALIDATION_INVALID_ORDER"),
    ],
)
def test_refusals_have_the_error_format(client: Client, body: Any, key: str, status: int, code: str) -> None:
    answer = post(client, body, key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_another_basket_under_the_same_key_is_a_conflict(client: Client) -> None:
    post(client)
    answer = post(client, {**BODY, "offset_fills": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "VALIDATION_IDEMPOTENCY_CONFLICT")


def test_what_is_not_there_and_who_may_not(client: Client) -> None:
    assert client.get(f"{PATH}/{uuid4()}").status_code == 404
    stranger = Client()
    stranger.force_login(make_user())
    assert post(stranger).status_code == 403


def test_admin_shows_the_legs_and_the_saga(client: Client, admin_client: Client) -> None:
    owner = make_user()
    accepted = accept_basket(owner_id=owner.pk, actor="desk", idempotency_key="a1", body=BODY)
    for name in ("brokers_basket", "reliability_saga"):
        page = admin_client.get(reverse(f"admin:{name}_change", args=[accepted.id]))
        assert page.status_code == 200
        assert admin_client.get(reverse(f"admin:{name}_changelist")).status_code == 200
    page = admin_client.get(reverse("admin:brokers_basket_change", args=[accepted.id])).content.decode()
    assert "0 of 2 legs filled" in page
