"""What an order costs: the statements of a request are counted, because each is a way to the database and back."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client
from knox.models import AuthToken

from brokers.models import Account, Order
from tests.plans import Step, recorded_plans

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99.50"}


@pytest.fixture
def client(account: Account) -> Client:
    """A trader who may send orders as a member of a group, and who has a token."""
    user = get_user_model().objects.create_user("trader")
    group = Group.objects.create(name="desk")
    group.permissions.add(Permission.objects.get(codename="submit_order"))
    user.groups.add(group)
    user.user_permissions.add(Permission.objects.get(codename="view_order"))
    _, token = AuthToken.objects.create(user)
    return Client(headers={"Authorization": f"Bearer {token}"})


def submit(client: Client, *keys: str) -> int:
    if len(keys) == 1:
        answer = client.post(
            "/api/v1/orders", BODY, content_type="application/json", headers={"Idempotency-Key": keys[0]}
        )
    else:
        orders = [{"idempotency_key": key, "order": BODY} for key in keys]
        answer = client.post("/api/v1/orders:batch", {"orders": orders}, content_type="application/json")
    return answer.status_code


def statements(steps: list[Step]) -> list[str]:
    return [step.statement for step in steps if step.depth == 0]


@pytest.mark.parametrize(("keys", "status"), [(("one",), 202), (tuple("abcdefgh"), 207)])
def test_an_accepted_order_takes_one_statement_for_its_sender_and_one_for_itself(
    client: Client, keys: tuple[str, ...], status: int
) -> None:
    assert submit(client, "first") == 202  # what a process reads once has been read
    with recorded_plans() as steps:
        assert submit(client, *keys) == status
    assert Order.objects.count() == 1 + len(keys)
    assert len(statements(steps)) == 2, statements(steps)


def test_permissions_come_with_the_token_of_their_own_and_of_groups(client: Client) -> None:
    assert client.get("/api/v1/orders").status_code == 200
    assert client.get("/api/v1/positions").status_code == 403
    Group.objects.get(name="desk").permissions.clear()
    assert submit(client, "k") == 403
    get_user_model().objects.update(is_superuser=True)
    assert submit(client, "k") == 202
