"""Who sends the orders of these tests, and one order."""

from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser

from brokers.models import Account
from brokers.services.submission import OrderSubmission, accept_order
from tests.brokers.services.orders import BODY
from tests.factories import make_user


@pytest.fixture
def owner(account: Account) -> AbstractBaseUser:
    """A person where there is an account to trade on."""
    return make_user()


@pytest.fixture
def order_id(account: Account) -> UUID:
    """One accepted order."""
    owner = get_user_model().objects.create_user("desk")
    return accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k1", BODY)).id
