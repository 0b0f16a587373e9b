"""The source ``stanchion``: codes of our own catalogue, as other installations and our own log lines carry them."""

from reliability.core.catalog import CATALOG
from reliability.core.classification import Proof, RawFailure
from reliability.core.rules import Verdict
from reliability.core.taxonomy import ErrorCategory

SOURCE = "stanchion"
_NOT_BEGUN = frozenset(
    {
        "NETWORK_CONNECT_REFUSED",
        "NETWORK_DNS_FAILED",
        "NETWORK_NOT_CONNECTED",
        "NETWORK_PROXY_FAILED",
        "NETWORK_TLS_FAILED",
        "NETWORK_UNREACHABLE",
        "RATE_LIMIT_LOCAL",
        "SYSTEM_ACCOUNT_MISCONFIGURED",
        "SYSTEM_BULKHEAD_FULL",
        "SYSTEM_CIRCUIT_OPEN",
        "SYSTEM_RETRY_BUDGET_SPENT",
        "SYSTEM_SESSION_CLOSED",
        "SYSTEM_WORKER_STOPPING",
        "TIMEOUT_CONNECT",
        "TIMEOUT_DEADLINE_PASSED",
        "TIMEOUT_POOL",
    }
)
_REFUSING = frozenset({ErrorCategory.VALIDATION, ErrorCategory.AUTHENTICATION, ErrorCategory.RATE_LIMIT})
_REFUSALS = frozenset(
    {
        "BROKER_ACCOUNT_UNAVAILABLE",
        "BROKER_ASSET_NOT_TRADABLE",
        "BROKER_INSUFFICIENT_FUNDS",
        "BROKER_INSUFFICIENT_POSITION",
        "BROKER_LIMIT_REACHED",
        "BROKER_MARKET_CLOSED",
        "BROKER_ORDER_NOT_CANCELABLE",
        "BROKER_ORDER_REJECTED",
        "BROKER_ORDER_WOULD_MATCH",
        "BROKER_PATTERN_DAY_TRADER",
        "BROKER_WASH_TRADE",
    }
)


def resolve_own(raw: RawFailure) -> Verdict | None:
    """Return what one of our own codes proves, or None for what is none."""
    definition = CATALOG.get(raw.raw_code.strip().upper())
    if definition is None:
        return None
    if definition.code in _NOT_BEGUN:
        return Verdict(definition.code, Proof.NOT_SENT)
    refused = definition.category in _REFUSING or definition.code in _REFUSALS
    return Verdict(definition.code, Proof.REFUSED if refused and not definition.ambiguous else Proof.UNPROVEN)
