"""Codes of the category validation: the request can never succeed unchanged."""

from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "VALIDATION_MALFORMED_JSON", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The body is not valid JSON.", "Correct the body and send it again.", http_status=400,
        manual_steps="Read the position in the message, correct the sender, and send the request again.",
    ),
    ErrorDefinition(
        "VALIDATION_INVALID_REQUEST", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The request is not valid.", "Correct the fields named in the details.", http_status=422,
        manual_steps="Read the named fields, correct them, and send the request again.",
    ),
    ErrorDefinition(
        "VALIDATION_INVALID_ORDER", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The order is not valid.", "Correct the fields named in the details.", http_status=422,
        manual_steps="Read the named fields or the broker's words, correct the order, and send it under a new Idempotency-Key.",
    ),
    ErrorDefinition(
        "VALIDATION_UNKNOWN_SYMBOL", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The broker does not know this symbol.", "Check the symbol and the account.", http_status=422,
        manual_steps="Look the symbol up at the broker; send the order with the right one under a new Idempotency-Key.",
    ),
    ErrorDefinition(
        "VALIDATION_MISSING_IDEMPOTENCY_KEY", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The Idempotency-Key header is missing or not usable.",
        "Send a key of 1 to 128 printable characters that is the same in every attempt of one intent.",
        http_status=400,
        manual_steps="Let the caller make one key per intent, keep it, and send it in every attempt.",
    ),
    ErrorDefinition(
        "VALIDATION_IDEMPOTENCY_CONFLICT", Cat.VALIDATION, Sev.MEDIUM, Do.MANUAL,
        "This Idempotency-Key was used for a different request.",
        "Use a new key for a new intent, or send the first request unchanged.", http_status=409,
        manual_steps="Read the order that the key stands for; if the new intent is another one, send it under another key.",
    ),
    ErrorDefinition(
        "VALIDATION_BODY_TOO_LARGE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The body is too large.", "Send less at once.", http_status=413,
        manual_steps="Split the request, or raise STANCHION_MAX_BODY_BYTES.",
    ),
    ErrorDefinition(
        "VALIDATION_UNSUPPORTED_MEDIA_TYPE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "Only application/json is understood.", "Send Content-Type: application/json.", http_status=415,
        manual_steps="Correct the caller's Content-Type and send the request again.",
    ),
    ErrorDefinition(
        "VALIDATION_METHOD_NOT_ALLOWED", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "This address does not take that method.", "See the API documentation.", http_status=405,
        manual_steps="Look the address up in the API documentation and correct the caller.",
    ),
    ErrorDefinition(
        "VALIDATION_NOT_ACCEPTABLE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "Only application/json can be answered.", "Accept application/json.", http_status=406,
        manual_steps="Correct the caller's Accept header and send the request again.",
    ),
    ErrorDefinition(
        "VALIDATION_NOT_FOUND", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "There is no such thing here.", "Check the address and the id.", http_status=404,
        manual_steps="Look the id up in the list it came from; it may belong to another installation.",
    ),
    ErrorDefinition(
        "VALIDATION_ACCOUNT_DISABLED", Cat.VALIDATION, Sev.MEDIUM, Do.MANUAL,
        "The account takes no new orders.", "Enable it in admin, or use another account.", http_status=409,
        manual_steps="Find in the account's history who disabled it and why before enabling it.",
        fallback="Another account, if the order's route allows it.",
    ),
    ErrorDefinition(
        "VALIDATION_TRADING_HALTED", Cat.VALIDATION, Sev.HIGH, Do.MANUAL,
        "A kill switch stops trading here.", "Read in the details who stopped it, when and why.", http_status=409,
        manual_steps="Settle what the reason names. Two persons release the switch: one asks for it, another confirms.",
        fallback="Another account that no kill switch stops, if the order's route allows it.",
    ),
    ErrorDefinition(
        "VALIDATION_TRADING_FROZEN", Cat.VALIDATION, Sev.MEDIUM, Do.MANUAL,
        "Trading is frozen here until doubt is settled.", "Read in the details what is frozen, since when and why.",
        http_status=409,
        manual_steps="Settle what the reason names and release the freeze; those of lost connections end by themselves.",
        fallback="It waits for the end of the freeze unless the caller wanted it refused; another account of its route.",
    ),
    ErrorDefinition(
        "VALIDATION_ORDER_FINAL", Cat.VALIDATION, Sev.LOW, Do.IGNORE,
        "The order is final; nothing can be changed.", "Read the order for its outcome.", http_status=409,
    ),
    ErrorDefinition(
        "VALIDATION_WRONG_STATE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "That is not possible in the present state.", "Look again: somebody may have acted before you.",
        http_status=409,
        manual_steps="Read the thing again with its history, then decide on its present state.",
    ),
    ErrorDefinition(
        "VALIDATION_REQUEST_TURNED_AWAY", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The request was turned away before it was looked at: its host name, headers or form are not acceptable.",
        "Use a host name from STANCHION_ALLOWED_HOSTS and an unmodified client.", http_status=400,
        manual_steps="Read the reason in the log under the correlation id; add the host name if it is ours.",
    ),
)  # fmt: skip
