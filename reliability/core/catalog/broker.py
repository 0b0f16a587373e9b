"""Codes of the category broker: understood, but refused or failed on the broker's side."""

from reliability.core.catalog.phrases import LOOK_UP
from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    *(
        ErrorDefinition(code, Cat.BROKER, severity, Do.MANUAL, message, suggestion, http_status=422)
        for code, severity, message, suggestion in (
            ("BROKER_INSUFFICIENT_FUNDS", Sev.MEDIUM, "There is not enough buying power.", "Reduce the order or fund the account."),
            ("BROKER_INSUFFICIENT_POSITION", Sev.MEDIUM, "There is not enough to sell.", "Check the position and orders that hold it."),
            ("BROKER_MARKET_CLOSED", Sev.LOW, "The market is closed for this order.", "Send it when the market is open, or as an extended-hours order."),
            ("BROKER_WASH_TRADE", Sev.MEDIUM, "It would trade against your own order.", "Cancel the opposite order first."),
            ("BROKER_PATTERN_DAY_TRADER", Sev.HIGH, "Day-trading protection refuses it.", "Wait or fund the account to the required equity."),
            ("BROKER_ASSET_NOT_TRADABLE", Sev.MEDIUM, "The symbol cannot be traded now.", "Check halts and the symbol's status."),
            ("BROKER_ORDER_REJECTED", Sev.MEDIUM, "The broker refused the order.", "Read the broker's message in the details."),
            ("BROKER_ORDER_NOT_CANCELABLE", Sev.LOW, "The order can no longer be canceled.", "Read the order: it is being filled or is final."),
            ("BROKER_ORDER_NOT_FOUND", Sev.HIGH, "The broker does not know the order.", "It is reconciled by client order id."),
        )
    ),
    ErrorDefinition(
        "BROKER_DUPLICATE_CLIENT_ORDER_ID", Cat.BROKER, Sev.MEDIUM, Do.RETRY_IMMEDIATE,
        "An order under this client order id exists already.", "It is looked up and adopted.",
        retryable=True, ambiguous=True, http_status=409,
    ),
    ErrorDefinition(
        "BROKER_SERVER_ERROR", Cat.BROKER, Sev.HIGH, Do.CIRCUIT_BREAK,
        "The broker failed on its side.", LOOK_UP, retryable=True, ambiguous=True, http_status=502,
    ),
    ErrorDefinition(
        "BROKER_UNAVAILABLE", Cat.BROKER, Sev.HIGH, Do.CIRCUIT_BREAK,
        "The broker says it is unavailable.", LOOK_UP, retryable=True, ambiguous=True, http_status=503,
    ),
    ErrorDefinition(
        "BROKER_STREAM_REFUSED", Cat.BROKER, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker refused the order stream.", "It is tried again; fills come by asking meanwhile.",
        retryable=True, http_status=503,
    ),
)  # fmt: skip
