"""New credentials of an account take two persons; what was entered is kept encrypted until the second one agrees."""

import json
from collections.abc import Mapping

from brokers.models import Account
from brokers.services.credentials import set_credentials
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit
from reliability.services.changes import AgreedChange, ChangeKind, propose_change

CREDENTIALS_KIND = "brokers.credentials"
CREDENTIALS_PERMISSION = "brokers.set_credentials"
SECRET_FIELDS = ("api_key", "api_secret")
_LONGEST = 1000


def propose_credentials(account: str, credentials: Mapping[str, str], *, by: str, reason: str) -> int:
    """Propose new credentials of an account to a second person; nobody is shown them.

    Args:
        account: The account's name.
        credentials: ``api_key`` and ``api_secret``.
        by: The username of a person who may set credentials.
        reason: Why.

    Returns:
        The number of the proposal.

    Raises:
        ReliabilityError: no such account, a secret missing or unusable, no such person, or no reason.
    """
    row = Account.objects.filter(name=account).select_related("broker").first() if "\0" not in account else None
    if row is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no account called {account!r}.")
    _check(credentials)
    version = row.credentials_version
    title = f"{'Replace the' if version else 'Set'} credentials of the account {row}"
    content = {"account": row.name, "broker": row.broker_id, "before_version": version, "after_version": version + 1}
    secret = json.dumps({name: credentials[name] for name in SECRET_FIELDS})
    subject = f"account:{row}"
    return propose_change(CREDENTIALS_KIND, subject, title=title, content=content, secret=secret, by=by, reason=reason)


def credentials_kind() -> ChangeKind:
    return ChangeKind(CREDENTIALS_KIND, CREDENTIALS_PERMISSION, "set credentials of accounts", _make)


def _make(agreed: AgreedChange) -> str:
    row = Account.objects.select_for_update(no_key=True).get(name=agreed.content["account"])
    facts = (row.credentials_version, row.broker_id)
    if facts != (agreed.content["before_version"], agreed.content["broker"]):
        raise ReliabilityError("VALIDATION_WRONG_STATE", "The account was changed meanwhile: propose it again.")
    set_credentials(row, json.loads(agreed.secret))
    after = {"credentials_version": row.credentials_version}
    record_audit(agreed.actor, "set_credentials", f"account:{row}", after=after, reason=agreed.reason)
    return f"The account {row} has new credentials, version {row.credentials_version}."


def _check(credentials: Mapping[str, str]) -> None:
    wrong = {}
    for name in SECRET_FIELDS:
        value = credentials.get(name, "")
        if not value or len(value) > _LONGEST or not value.isprintable():
            wrong[name] = [f"Give 1 to {_LONGEST} printable characters."]
    if wrong:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Give the key and the secret together.", wrong)
