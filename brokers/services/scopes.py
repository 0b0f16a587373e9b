"""What the text of a scope names: an account, a broker, or everything."""

from collections.abc import Callable
from typing import Any

from brokers.core.halts import Scope, ScopeKind
from brokers.models import Account, Broker
from reliability.core.errors import ReliabilityError


def scope_target(text: str, parse: Callable[[str], Scope]) -> dict[str, Any]:
    """Return the account and the broker that a scope names, each None unless it names one.

    Raises:
        ReliabilityError: the text is no scope, or names nothing there is.
    """
    try:
        return find_target(parse(text))
    except (ValueError, LookupError) as error:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", details={"scope": [str(error)]}) from None


def find_target(scope: Scope) -> dict[str, Any]:
    """Return the account and the broker of a scope; raises ``LookupError`` when there is none of that name."""
    account = broker = None
    if scope.kind is ScopeKind.ACCOUNT:
        account = Account.objects.filter(name=scope.name).first()
    elif scope.kind is ScopeKind.BROKER:
        broker = Broker.objects.filter(name=scope.name).first()
    if scope.kind is not ScopeKind.GLOBAL and account is None and broker is None:
        raise LookupError(f"there is no {scope.kind.value} called {scope.name}")
    return {"account": account, "broker": broker}
