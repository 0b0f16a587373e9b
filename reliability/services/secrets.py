"""Keep addresses of channels encrypted at rest: they hold passwords and tokens."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from reliability.conf import get_conf
from reliability.core.errors import ReliabilityError


def seal(text: str) -> bytes:
    """Return a text encrypted with the newest key."""
    return _keys().encrypt(text.encode())


def unseal(sealed: bytes | memoryview) -> str:
    """Return an encrypted text; raises ``ReliabilityError`` when no key of this installation fits."""
    try:
        return _keys().decrypt(bytes(sealed)).decode()
    except InvalidToken:
        raise ReliabilityError("SYSTEM_UNEXPECTED", "No key of this installation opens this address.") from None


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in get_conf().encryption_keys])
