"""Our name for an order at the broker, chosen before anything is sent."""

import base64
import hashlib

PREFIX = "st-"
MAX_LENGTH = 36
_DIGEST_LENGTH = 26


def derive_client_order_id(*, account: str, owner: str, idempotency_key: str, leg: int = 0, revision: int = 0) -> str:
    """Return the id of one intent: the same in every attempt, restart and worker.

    At most 36 characters, the shortest limit among the supported brokers. ``revision``
    grows only when an intent is deliberately submitted anew; ``leg`` numbers the orders
    of one basket.
    """
    identity = "\x1f".join((account, owner, idempotency_key, str(leg), str(revision)))
    digest = base64.b32encode(hashlib.sha256(identity.encode()).digest()).decode().lower()
    return PREFIX + digest[:_DIGEST_LENGTH]
