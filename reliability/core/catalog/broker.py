"""Codes of the category broker: understood, but refused or failed on the broker's side."""

from reliability.core.catalog.phrases import LOOK_UP
from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    *(
        ErrorDefinition(code, Cat.BROKER, severity, Do.MANUAL, message, suggestion, http_status=422, manual_steps=steps)
        for code, severity, message, suggestion, steps in (
            ("BROKER_INSUFFICIENT_FUNDS", Sev.MEDIUM, "There is not enough buying power.", "Reduce the order or fund the account.", "Compare the order's value with the buying power at the broker and what open orders reserve; send a smaller order or fund the account."),
            ("BROKER_INSUFFICIENT_POSITION", Sev.MEDIUM, "There is not enough to sell.", "Check the position and orders that hold it.", "Compare our position with the broker's; if they differ, reconcile first, then send what is there."),
            ("BROKER_MARKET_CLOSED", Sev.LOW, "The market is closed for this order.", "Send it when the market is open, or as an extended-hours order.", "Look at the broker's calendar; send a new order for the next session if it should still happen."),
            ("BROKER_WASH_TRADE", Sev.MEDIUM, "It would trade against your own order.", "Cancel the opposite order first.", "Find the open order on the other side, cancel it or wait for it, then send a new order."),
            ("BROKER_PATTERN_DAY_TRADER", Sev.HIGH, "Day-trading protection refuses it.", "Wait or fund the account to the required equity.", "Count the account's day trades of five days at the broker; fund the account or hold positions overnight."),
            ("BROKER_ASSET_NOT_TRADABLE", Sev.MEDIUM, "The symbol cannot be traded now.", "Check halts and the symbol's status.", "Read the symbol's status at the broker; wait for the end of a halt or choose another instrument."),
            ("BROKER_ORDER_REJECTED", Sev.MEDIUM, "The broker refused the order.", "Read the broker's message in the details.", "Read the broker's words in the order's evidence and decide on a changed order under a new Idempotency-Key."),
            ("BROKER_ORDER_NOT_CANCELABLE", Sev.LOW, "The order can no longer be canceled.", "Read the order: it is being filled or is final.", "Read the order at the broker; book what filled. Nothing more is to be canceled."),
            ("BROKER_ORDER_NOT_FOUND", Sev.HIGH, "The broker does not know the order.", "It is reconciled by client order id.", "Search the order at the broker by client order id and by time; settle the order by what is found there."),
        )
    ),
    ErrorDefinition(
        "BROKER_POSITION_NOT_FOUND", Cat.BROKER, Sev.LOW, Do.IGNORE,
        "The account holds no position in this symbol.", "Take it for flat: there is nothing to sell or close.",
        http_status=404,
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
        fallback="Reads are answered from the cache and marked stale; new orders take another account if their route allows it.",
    ),
    ErrorDefinition(
        "BROKER_STREAM_REFUSED", Cat.BROKER, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker refused the order stream.", "It is tried again; fills come by asking meanwhile.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "BROKER_MAINTENANCE", Cat.BROKER, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker is under maintenance.", "It goes on when the broker is back; see the broker's status page.",
        retryable=True, http_status=503,
        fallback="New orders take another account if their route allows it, or wait.",
    ),
    ErrorDefinition(
        "BROKER_OVERLOADED", Cat.BROKER, Sev.HIGH, Do.CIRCUIT_BREAK,
        "The broker has too much to do.", "It goes on more slowly.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "BROKER_ORDER_WOULD_MATCH", Cat.BROKER, Sev.LOW, Do.MANUAL,
        "The order would trade or trigger at once, which its type forbids.",
        "Set another price or another type of order.", http_status=422,
        manual_steps="Read the present quote, choose a price or a type that fits it, and send a new order.",
    ),
    ErrorDefinition(
        "BROKER_LIMIT_REACHED", Cat.BROKER, Sev.MEDIUM, Do.MANUAL,
        "The account has as many orders or as large a position as the broker allows.",
        "Cancel orders that are not needed, or reduce the position.", http_status=422,
        manual_steps="List open orders and positions at the broker, make room, and send the order under a new Idempotency-Key.",
    ),
    ErrorDefinition(
        "BROKER_MARGIN_CALL", Cat.BROKER, Sev.CRITICAL, Do.MANUAL,
        "The broker warns that the account's margin is short.",
        "Reduce the exposure or fund the account before the broker liquidates.", http_status=422,
        manual_steps="Compare margin and positions at the broker and decide what is closed.",
    ),
    ErrorDefinition(
        "BROKER_REPLACE_HALF_DONE", Cat.BROKER, Sev.CRITICAL, Do.MANUAL,
        "Of canceling the old order and placing the new one, only one took effect.", LOOK_UP,
        ambiguous=True, http_status=409,
        manual_steps="Read both orders at the broker, then place or cancel what is missing.",
    ),
    ErrorDefinition(
        "BROKER_NOTICE", Cat.BROKER, Sev.INFO, Do.IGNORE,
        "The broker told something that is no failure.", "It is recorded; what it is about is read again.",
        http_status=409,
    ),
    ErrorDefinition(
        "BROKER_ACCOUNT_UNAVAILABLE", Cat.BROKER, Sev.HIGH, Do.FAILOVER,
        "No account that may take the order can take it now.",
        "Nothing was sent. Send it again later, or give it a route with another account.",
        retryable=True, http_status=503,
        fallback="Another account, if the order's route allows it.",
    ),
    ErrorDefinition(
        "BROKER_CONFLICT", Cat.BROKER, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "The broker says that the request collides with what is there already.",
        LOOK_UP, retryable=True, ambiguous=True, http_status=409,
    ),
    ErrorDefinition(
        "BROKER_UNCLASSIFIED", Cat.BROKER, Sev.HIGH, Do.MANUAL,
        "The broker's failure is one that no rule knows.",
        "Read the broker's own words in the details. Confirm or correct the guess, so that it is known the next time.", ambiguous=True, http_status=502,
        manual_steps="Look the order up at the broker by its client order id; then review the guess in admin.",
    ),
    ErrorDefinition(
        "BROKER_EXIT_REFUSED", Cat.BROKER, Sev.HIGH, Do.MANUAL,
        "The broker took an order and refused one of its exits.",
        "The order is canceled, again and again until the broker shows it ended. What it filled meanwhile has no exit: decide on it.", ambiguous=True, http_status=502,
        manual_steps="Read at the broker whether the order is gone and what it filled. Cancel it there if it is not; place an exit for what filled, or close it. Then discard the job with the reason; replay it to have the cancel sent for another minute.",
    ),
    ErrorDefinition(
        "BROKER_LEG_NOT_FILLED", Cat.BROKER, Sev.MEDIUM, Do.MANUAL,
        "An order of a basket ended without being filled.", "Read the leg's order for why; the other legs are taken back.", http_status=409,
        manual_steps="Read the leg's order for its end; send a new basket if it should still happen.",
    ),
    ErrorDefinition(
        "BROKER_OFFSET_UNDECIDED", Cat.BROKER, Sev.HIGH, Do.MANUAL,
        "A basket failed, and what one of its legs filled was not offset.",
        "Decide: let it be offset by a market order, or settle it by hand and close the basket.", http_status=409,
        manual_steps="Read the basket's legs for what filled. Consent to the offset in admin, or trade it yourself and close the basket with the reason.",
    ),
)  # fmt: skip
