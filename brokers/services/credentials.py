"""Credentials at rest: authenticated encryption with keys that are not in the database."""

import base64
import json
from collections.abc import Mapping

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.db import transaction

from brokers.adapters.errors import BrokersError
from brokers.conf import get_conf
from brokers.models import Account
from reliability.core.key_rings import KeyState, SealedSecret
from reliability.core.known_secrets import remember_secrets
from reliability.services.audit import record_audit
from reliability.services.secrets import key_state, rotated


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
    credentials = dict(json.loads(plain))
    pair = f"{credentials.get('api_key', '')}:{credentials.get('api_secret', '')}"  # as an Authorization header has it
    remember_secrets([*credentials.values(), base64.b64encode(pair.encode()).decode()])
    return credentials


def list_sealed_credentials() -> list[SealedSecret]:
    """Return how the credentials of each account stand to the keys, by name."""
    keys = get_conf().encryption_keys
    rows = Account.objects.order_by("name").values_list("name", "encrypted_credentials")
    return [SealedSecret(f"account:{name}", key_state(sealed, keys)) for name, sealed in rows]


def rotate_credentials(*, actor: str) -> int:
    """Encrypt with the newest key what an older one opens; returns how many accounts changed.

    The credentials stay the same, so their version does, and no session is made anew.
    Each account has a transaction of its own: orders wait for none of it, and a run that was ended is run again.
    """
    keys, changed = get_conf().encryption_keys, 0
    for pk in Account.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            account = Account.objects.select_for_update(no_key=True).get(pk=pk)
            if key_state(account.encrypted_credentials, keys) is not KeyState.OLDER:
                continue
            account.encrypted_credentials = rotated(account.encrypted_credentials, keys)
            account.save(update_fields=["encrypted_credentials"])
            record_audit(actor, "rotate_key", f"account:{account}")
            changed += 1
    return changed
