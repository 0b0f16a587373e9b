"""Codes of the category timeout: no answer came in time."""

from reliability.core.catalog.phrases import LOOK_UP
from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "TIMEOUT_CONNECT", Cat.TIMEOUT, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker did not take the connection in time.", "Nothing was sent; it is tried again.",
        retryable=True, http_status=504,
    ),
    ErrorDefinition(
        "TIMEOUT_READ", Cat.TIMEOUT, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker did not answer in time.", LOOK_UP, retryable=True, ambiguous=True, http_status=504,
    ),
    ErrorDefinition(
        "TIMEOUT_GATEWAY", Cat.TIMEOUT, Sev.HIGH, Do.RETRY_BACKOFF,
        "A gateway in front of the broker gave up waiting.", LOOK_UP,
        retryable=True, ambiguous=True, http_status=504,
    ),
    ErrorDefinition(
        "TIMEOUT_DEADLINE_PASSED", Cat.TIMEOUT, Sev.MEDIUM, Do.MANUAL,
        "The time for the whole operation was over before this call; it was not begun.",
        "Decide whether it should still happen, and send it again with more time.", http_status=504,
        manual_steps="Look at what took the time: earlier attempts, waits for a limit, or a slow dependency.",
    ),
    ErrorDefinition(
        "TIMEOUT_LOGIN", Cat.TIMEOUT, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "The login to a stream was not finished in time.", "It is tried again.", retryable=True, http_status=504,
    ),
    ErrorDefinition(
        "TIMEOUT_WRITE", Cat.TIMEOUT, Sev.HIGH, Do.RETRY_BACKOFF,
        "The request could not be handed over in time; part of it may have arrived.",
        LOOK_UP, retryable=True, ambiguous=True, http_status=504,
    ),
    ErrorDefinition(
        "TIMEOUT_POOL", Cat.TIMEOUT, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "No connection of our own pool became free in time.",
        "Nothing was sent; it is tried again. If it lasts, calls are slow or the pool is too small.", retryable=True, http_status=503,
    ),
)  # fmt: skip
