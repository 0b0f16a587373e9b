"""Codes of the category validation: the request can never succeed unchanged."""

from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "VALIDATION_MALFORMED_JSON", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The body is not valid JSON.", "Correct the body and send it again.", http_status=400,
    ),
    ErrorDefinition(
        "VALIDATION_INVALID_REQUEST", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The request is not valid.", "Correct the fields named in the details.", http_status=422,
    ),
    ErrorDefinition(
        "VALIDATION_INVALID_ORDER", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The order is not valid.", "Correct the fields named in the details.", http_status=422,
    ),
    ErrorDefinition(
        "VALIDATION_UNKNOWN_SYMBOL", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The broker does not know this symbol.", "Check the symbol and the account.", http_status=422,
    ),
    ErrorDefinition(
        "VALIDATION_MISSING_IDEMPOTENCY_KEY", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The Idempotency-Key header is missing or not usable.",
        "Send a key of 1 to 128 printable characters that is the same in every attempt of one intent.",
        http_status=400,
    ),
    ErrorDefinition(
        "VALIDATION_IDEMPOTENCY_CONFLICT", Cat.VALIDATION, Sev.MEDIUM, Do.MANUAL,
        "This Idempotency-Key was used for a different request.",
        "Use a new key for a new intent, or send the first request unchanged.", http_status=409,
    ),
    ErrorDefinition(
        "VALIDATION_BODY_TOO_LARGE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "The body is too large.", "Send less at once.", http_status=413,
    ),
    ErrorDefinition(
        "VALIDATION_UNSUPPORTED_MEDIA_TYPE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "Only application/json is understood.", "Send Content-Type: application/json.", http_status=415,
    ),
    ErrorDefinition(
        "VALIDATION_METHOD_NOT_ALLOWED", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "This address does not take that method.", "See the API documentation.", http_status=405,
    ),
    ErrorDefinition(
        "VALIDATION_NOT_ACCEPTABLE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "Only application/json can be answered.", "Accept application/json.", http_status=406,
    ),
    ErrorDefinition(
        "VALIDATION_NOT_FOUND", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "There is no such thing here.", "Check the address and the id.", http_status=404,
    ),
    ErrorDefinition(
        "VALIDATION_ACCOUNT_DISABLED", Cat.VALIDATION, Sev.MEDIUM, Do.MANUAL,
        "The account takes no new orders.", "Enable it in admin, or use another account.", http_status=409,
    ),
    ErrorDefinition(
        "VALIDATION_ORDER_FINAL", Cat.VALIDATION, Sev.LOW, Do.IGNORE,
        "The order is final; nothing can be changed.", "Read the order for its outcome.", http_status=409,
    ),
    ErrorDefinition(
        "VALIDATION_WRONG_STATE", Cat.VALIDATION, Sev.LOW, Do.MANUAL,
        "That is not possible in the present state.", "Look again: somebody may have acted before you.",
        http_status=409,
    ),
)  # fmt: skip
