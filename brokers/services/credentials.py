"""Credentials at rest: authenticated encryption with keys that are not in the database."""

import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from brokers.adapters.errors import BrokersError
from brokers.conf import get_conf
from brokers.models import Account


class CredentialsUnreadableError(BrokersError):
    """No configured key opens the account's credentials."""


def _cipher() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in get_conf().encryption_keys])


def set_credentials(account: Account, credentials: Mapping[str, str]) -> None:
    """Encrypt and save the account's credentials; sessions pick them up within a second."""
    account.encrypted_credentials = _cipher().encrypt(json.dumps(dict(credentials)).encode())
    account.credentials_version += 1
    account.save(update_fields=["encrypted_credentials", "credentials_version"])


def read_credentials(account: Account) -> dict[str, str]:
    """Return the account's credentials in the clear; raises ``CredentialsUnreadableError``."""
    if not account.encrypted_credentials:
        return {}
    try:
        plain = _cipher().decrypt(bytes(account.encrypted_credentials))
    except InvalidToken:
        raise CredentialsUnreadableError(f"no configured key opens the credentials of {account.name}") from None
    return dict(json.loads(plain))
