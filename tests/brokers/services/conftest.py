"""Who sends the orders of these tests."""

import pytest
from django.contrib.auth.models import AbstractBaseUser

from brokers.models import Account
from tests.factories import make_user


@pytest.fixture
def owner(account: Account) -> AbstractBaseUser:
    """A person where there is an account to trade on."""
    return make_user()
