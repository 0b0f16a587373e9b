"""Making API tokens: for all accounts, or limited to some."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import transaction
from knox.models import AuthToken
from knox.settings import knox_settings

from brokers.models import Account, TokenLimit
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit

MOST_DAYS = 3650


def issue_token(user: Any, *, days: float | None, accounts: Collection[str], actor: str) -> tuple[AuthToken, str]:
    """Make a token of a user that reaches the named accounts, or all of them if none is named.

    Only its hash is kept, so the text that is returned beside the row is shown once and never again.

    Args:
        user: Whose roles it has.
        days: How long it is valid, above 0 to 3650; None: as the settings say.
        accounts: Names of accounts.
        actor: Who makes it, for the audit.

    Raises:
        ReliabilityError: an account does not exist, or ``days`` is out of range.
    """
    if days is not None and not 0 < days <= MOST_DAYS:
        raise _refused("days", f"must be more than 0 and at most {MOST_DAYS}")
    expiry = knox_settings.TOKEN_TTL if days is None else timedelta(days=days)
    with transaction.atomic():
        known = dict(Account.objects.filter(name__in=accounts).values_list("name", "pk"))
        missing = sorted(set(accounts) - known.keys())
        if missing:
            raise _refused("account", f"there is no account called {missing[0]!r}")
        row, token = AuthToken.objects.create(user, expiry=expiry, prefix=knox_settings.TOKEN_PREFIX)
        if accounts:
            TokenLimit.objects.create(token=row, accounts=sorted(known.values()))
        facts = {"token_key": row.token_key, "expiry": row.expiry.isoformat(), "accounts": sorted(known) or "all"}
        record_audit(actor, "create_token", f"user:{user.get_username()}", after=facts)
    return row, token


def _refused(name: str, problem: str) -> ReliabilityError:
    return ReliabilityError("VALIDATION_INVALID_REQUEST", f"{name}: {problem}", details={name: [problem]})
