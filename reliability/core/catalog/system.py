"""Codes of the category system: our own parts."""

from reliability.core.catalog.phrases import LOOK_UP
from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "SYSTEM_ACCOUNT_MISCONFIGURED", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "The account's addresses or credentials are not usable.", "Correct the broker and the account in admin.",
        retryable=True, http_status=503,
        manual_steps="Open the broker in admin, check its addresses, and enter the account's credentials again.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "SYSTEM_ADAPTER_FAILURE", Cat.SYSTEM, Sev.CRITICAL, Do.MANUAL,
        "An adapter failed in a way it does not know.", LOOK_UP, retryable=True, ambiguous=True,
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
        "A job took longer than its kind allows.", LOOK_UP, retryable=True, ambiguous=True,
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
    ErrorDefinition(
        "SYSTEM_CIRCUIT_OPEN", Cat.SYSTEM, Sev.HIGH, Do.CIRCUIT_BREAK,
        "Calls of this kind fail, so none is made for a while.",
        "Nothing was sent; it is tried again when the circuit allows it, as Retry-After says.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_BULKHEAD_FULL", Cat.SYSTEM, Sev.LOW, Do.RETRY_BACKOFF,
        "As many calls to this dependency are under way as are allowed at once; this one was not begun.",
        "It is tried again when a place is free. If it lasts, the dependency is slow: look at its circuit and latency.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_RETRY_BUDGET_SPENT", Cat.SYSTEM, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "Retries take up their whole share of the calls to this dependency; this one waits.",
        "It is tried again when the share allows it. Look at why so many calls to the dependency fail.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_CLOCK_SKEW", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker finds our time wrong, or the request came too late.",
        "Check the host's clock; it is sent again with the time of then.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_SLOW_CONSUMER", Cat.SYSTEM, Sev.HIGH, Do.RETRY_BACKOFF,
        "We read a stream too slowly, and the broker ended it.",
        "It is reconnected and what was missed is fetched; subscribe to less if it recurs.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "SYSTEM_CLIENT_OUTDATED", Cat.SYSTEM, Sev.HIGH, Do.MANUAL,
        "The installed gateway or client does not know what was asked.", "Upgrade the broker's gateway or client.",
        manual_steps="Compare the installed version with the one that the broker's documentation asks for.",
    ),
)  # fmt: skip
