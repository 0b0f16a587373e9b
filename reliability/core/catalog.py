"""Every error code there is, in one place; pages, API and command line derive from it."""

from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

_LOOK_UP = "Nothing is resent: the broker is asked by client order id, and its answer settles the order."

_DEFINITIONS = (
    # network: bytes could not travel
    ErrorDefinition(
        "NETWORK_CONNECT_REFUSED", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker's address refused the connection.",
        "Wait: it is tried again. If it lasts, check the broker's status page and the account's URL.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_DNS_FAILED", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker's host name could not be resolved.",
        "Check DNS on the worker's host and the account's URL.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_TLS_FAILED", Cat.NETWORK, Sev.CRITICAL, Do.MANUAL,
        "No trusted encrypted connection to the broker could be made.",
        "Check the certificate and the clock; never switch verification off.",
        retryable=True, http_status=503,
        manual_steps="Compare the served certificate with the expected one and check the host's clock.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "NETWORK_UNREACHABLE", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "There is no route to the broker.", "Check the host's network; it is tried again.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_CONNECTION_LOST", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "The connection ended after the request may have left.", _LOOK_UP,
        retryable=True, ambiguous=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_STREAM_SILENT", Cat.NETWORK, Sev.HIGH, Do.FAILOVER,
        "The order stream gave no sign of life in time.",
        "It is reconnected at once and what was missed is fetched.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_STREAM_CLOSED", Cat.NETWORK, Sev.MEDIUM, Do.RETRY_IMMEDIATE,
        "The order stream was closed.", "It is reconnected at once and what was missed is fetched.",
        retryable=True, http_status=503,
    ),
    # timeout: no answer in time
    ErrorDefinition(
        "TIMEOUT_CONNECT", Cat.TIMEOUT, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker did not take the connection in time.", "Nothing was sent; it is tried again.",
        retryable=True, http_status=504,
    ),
    ErrorDefinition(
        "TIMEOUT_READ", Cat.TIMEOUT, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker did not answer in time.", _LOOK_UP, retryable=True, ambiguous=True, http_status=504,
    ),
    ErrorDefinition(
        "TIMEOUT_GATEWAY", Cat.TIMEOUT, Sev.HIGH, Do.RETRY_BACKOFF,
        "A gateway in front of the broker gave up waiting.", _LOOK_UP,
        retryable=True, ambiguous=True, http_status=504,
    ),
    # auth, which is identity and permission
    ErrorDefinition(
        "AUTH_INVALID_CREDENTIALS", Cat.AUTHENTICATION, Sev.CRITICAL, Do.MANUAL,
        "The broker does not accept the account's credentials.",
        "Replace the account's credentials; waiting orders then go on by themselves.",
        retryable=True, http_status=503,
        manual_steps="Issue new keys at the broker and enter them in admin under Accounts.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "AUTH_FORBIDDEN", Cat.AUTHENTICATION, Sev.CRITICAL, Do.MANUAL,
        "The broker forbids this to the account.", "Check the account's permissions at the broker.",
        retryable=True, http_status=503,
        manual_steps="Compare the key's permissions at the broker with what the account is used for.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "AUTH_NOT_AUTHENTICATED", Cat.AUTHENTICATION, Sev.LOW, Do.MANUAL,
        "Credentials are missing, wrong or expired.",
        "Send 'Authorization: Bearer <token>' with a token that is valid.", http_status=401,
    ),
    ErrorDefinition(
        "AUTH_PERMISSION_DENIED", Cat.AUTHENTICATION, Sev.LOW, Do.MANUAL,
        "You may not do this.", "Ask an administrator for the permission named in the details.", http_status=403,
    ),
    # rate limit
    ErrorDefinition(
        "RATE_LIMIT_EXCEEDED", Cat.RATE_LIMIT, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "The broker's limit of calls is used up.", "It goes on when the broker allows it again.",
        retryable=True, http_status=429,
    ),
    ErrorDefinition(
        "RATE_LIMIT_API", Cat.RATE_LIMIT, Sev.LOW, Do.RETRY_BACKOFF,
        "Too many requests to this API.", "Wait as long as Retry-After says.", retryable=True, http_status=429,
    ),
    # validation: the request can never succeed unchanged
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
    # broker: understood, but refused or failed on their side
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
        "The broker failed on its side.", _LOOK_UP, retryable=True, ambiguous=True, http_status=502,
    ),
    ErrorDefinition(
        "BROKER_UNAVAILABLE", Cat.BROKER, Sev.HIGH, Do.CIRCUIT_BREAK,
        "The broker says it is unavailable.", _LOOK_UP, retryable=True, ambiguous=True, http_status=503,
    ),
    # data: content wrong
    ErrorDefinition(
        "DATA_MALFORMED_REPLY", Cat.DATA, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker's answer could not be read.", _LOOK_UP, retryable=True, ambiguous=True, http_status=502,
    ),
    ErrorDefinition(
        "DATA_WRONG_ORDER", Cat.DATA, Sev.CRITICAL, Do.RETRY_BACKOFF,
        "The broker answered with another order.", _LOOK_UP, retryable=True, ambiguous=True, http_status=502,
        escalation="operator",
    ),
    ErrorDefinition(
        "DATA_ORDER_TERMS_DIFFER", Cat.DATA, Sev.CRITICAL, Do.MANUAL,
        "The broker holds an order under our id with other terms.",
        "Compare both orders; cancel the wrong one at the broker.", http_status=409,
        manual_steps="Open the order's evidence, compare with the broker's screen, decide, then discard the dead letter.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "DATA_FILL_AFTER_FINAL", Cat.DATA, Sev.HIGH, Do.MANUAL,
        "A fill arrived for an order that was final.", "It was booked; check the position.", http_status=409,
    ),
    # system: our own parts
    ErrorDefinition(
        "BROKER_STREAM_REFUSED", Cat.BROKER, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker refused the order stream.", "It is tried again; fills come by asking meanwhile.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_ACCOUNT_MISCONFIGURED", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "The account's addresses or credentials are not usable.", "Correct the broker and the account in admin.",
        retryable=True, http_status=503,
        manual_steps="Open the broker in admin, check its addresses, and enter the account's credentials again.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "SYSTEM_ADAPTER_FAILURE", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "An adapter failed in a way it does not know.", _LOOK_UP, retryable=True, ambiguous=True,
        escalation="operator",
    ),
    ErrorDefinition(
        "SYSTEM_SESSION_CLOSED", Cat.SYSTEM, Sev.LOW, Do.RETRY_IMMEDIATE,
        "The session with the broker was closed before the call.", "Nothing was sent; it is tried again.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_UNEXPECTED", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "Something failed that nobody foresaw.", "Report it with the correlation id.", http_status=500,
    ),
    ErrorDefinition(
        "SYSTEM_DATABASE_UNAVAILABLE", Cat.SYSTEM, Sev.CRITICAL, Do.RETRY_BACKOFF,
        "The database cannot be reached; whether this was recorded is not certain.",
        "Send the same request with the same Idempotency-Key again.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_WORKER_LOST", Cat.SYSTEM, Sev.HIGH, Do.RETRY_IMMEDIATE,
        "The process that ran this died.", "Another process goes on.", retryable=True, ambiguous=True,
    ),
    ErrorDefinition(
        "SYSTEM_LEASE_EXPIRED", Cat.SYSTEM, Sev.HIGH, Do.RETRY_IMMEDIATE,
        "The process that ran this gave no sign of life until its lease ended.", "Another process goes on.",
        retryable=True, ambiguous=True,
    ),
    ErrorDefinition(
        "SYSTEM_CRASH_LOOP", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "Processes die whenever this job runs.", "Find the cause before it is replayed.",
        manual_steps="Read the attempts and the worker's log at their times.", escalation="operator at once",
    ),
    ErrorDefinition(
        "SYSTEM_JOB_TIMEOUT", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "A job took longer than its kind allows.", _LOOK_UP, retryable=True, ambiguous=True,
    ),
    ErrorDefinition(
        "SYSTEM_DEADLINE_PASSED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "The job could not be done before its deadline.", "Decide whether it should still happen.",
        manual_steps="Replay it to try again, or discard it with a reason.", escalation="operator",
    ),
    ErrorDefinition(
        "SYSTEM_WORKER_STOPPING", Cat.SYSTEM, Sev.INFO, Do.RETRY_IMMEDIATE,
        "The worker stopped before it began.", "Another process goes on.", retryable=True,
    ),
    ErrorDefinition(
        "SYSTEM_UNKNOWN_TASK", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "A message names a task that no worker knows.", "Deploy workers before producers, then replay it.",
    ),
    ErrorDefinition(
        "SYSTEM_UNREADABLE_MESSAGE", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "A message could not be decoded.", "Find who published it; only JSON is accepted.",
    ),
    ErrorDefinition(
        "SYSTEM_MESSAGE_TOO_LARGE", Cat.SYSTEM, Sev.MEDIUM, Do.MANUAL,
        "A message is larger than workers accept.", "Send ids, not contents.",
    ),
    ErrorDefinition(
        "SYSTEM_TASK_FAILED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "A task outside the jobs failed.", "Read its traceback in the details, then replay or discard it.",
    ),
)  # fmt: skip

CATALOG: dict[str, ErrorDefinition] = {definition.code: definition for definition in _DEFINITIONS}


class UnknownErrorCodeError(KeyError):
    """A code that the catalogue does not have."""


def get_definition(code: str) -> ErrorDefinition:
    """Return the entry of ``code``; raises ``UnknownErrorCodeError``."""
    try:
        return CATALOG[code]
    except KeyError:
        raise UnknownErrorCodeError(code) from None
