"""Keep addresses of channels encrypted at rest: they hold passwords and tokens."""

import re
from urllib.parse import unquote, urlsplit

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.db import transaction

from reliability.conf import get_conf
from reliability.core.errors import ReliabilityError
from reliability.core.key_rings import KeyState, SealedSecret
from reliability.core.known_secrets import remember_secrets
from reliability.models import Recipient
from reliability.services.audit import record_audit

_TOKEN_LENGTH = 16
_DIGIT = re.compile(r"\d")


def seal(text: str) -> bytes:
    """Return a text encrypted with the newest key."""
    return _keys().encrypt(text.encode())


def unseal(sealed: bytes | memoryview) -> str:
    """Return an encrypted text; raises ``ReliabilityError`` when no key of this installation fits."""
    try:
        text = _keys().decrypt(bytes(sealed)).decode()
    except InvalidToken:
        raise ReliabilityError("SYSTEM_UNEXPECTED", "No key of this installation opens this address.") from None
    remember_secrets(_secret_parts(text))
    return text


def _secret_parts(text: str) -> list[str]:
    """Return an address and the parts of it that may be a secret by themselves: its password, tokens in its path."""
    try:
        url = urlsplit(text)
    except ValueError:
        return [text]
    tokens = [part for part in url.path.split("/") if len(part) >= _TOKEN_LENGTH and _DIGIT.search(part)]
    return [text, url.password or "", unquote(url.password or ""), *tokens]


def key_state(sealed: bytes | memoryview, keys: tuple[str, ...]) -> KeyState:
    """Return which of the keys, newest first, opens an encrypted text."""
    if not sealed:
        return KeyState.EMPTY
    for place, key in enumerate(keys):
        try:
            Fernet(key).decrypt(bytes(sealed))
        except InvalidToken:
            continue
        return KeyState.OLDER if place else KeyState.NEWEST
    return KeyState.UNREADABLE


def rotated(sealed: bytes | memoryview, keys: tuple[str, ...]) -> bytes:
    """Return an encrypted text encrypted anew with the newest key; raises ``InvalidToken`` when none opens it."""
    return MultiFernet([Fernet(key) for key in keys]).rotate(bytes(sealed))


def list_sealed_addresses() -> list[SealedSecret]:
    """Return how the address of each channel stands to the keys, by name."""
    keys = get_conf().encryption_keys
    rows = Recipient.objects.order_by("name").values_list("name", "address")
    return [SealedSecret(f"recipient:{name}", key_state(address, keys)) for name, address in rows]


def rotate_addresses(*, actor: str) -> int:
    """Encrypt with the newest key what an older one opens, each in a transaction of its own; returns how many."""
    keys, changed = get_conf().encryption_keys, 0
    for pk in Recipient.objects.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = Recipient.objects.select_for_update().get(pk=pk)
            if key_state(row.address, keys) is not KeyState.OLDER:
                continue
            row.address = rotated(row.address, keys)
            row.save(update_fields=["address"])
            record_audit(actor, "rotate_key", f"recipient:{row.pk}")
            changed += 1
    return changed


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in get_conf().encryption_keys])
