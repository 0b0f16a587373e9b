"""Codes of the category rate_limit: told to slow down."""

from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "RATE_LIMIT_EXCEEDED", Cat.RATE_LIMIT, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "The broker's limit of calls is used up.", "It goes on when the broker allows it again.",
        retryable=True, http_status=429,
    ),
    ErrorDefinition(
        "RATE_LIMIT_API", Cat.RATE_LIMIT, Sev.LOW, Do.RETRY_BACKOFF,
        "Too many requests to this API.", "Wait as long as Retry-After says.", retryable=True, http_status=429,
    ),
    ErrorDefinition(
        "RATE_LIMIT_LOCAL", Cat.RATE_LIMIT, Sev.LOW, Do.RETRY_BACKOFF,
        "Our own limit of calls to this dependency is used up for the moment; this one was not begun.",
        "It goes on by itself. If it lasts, send less or raise the limit to what the other side allows.",
        retryable=True, http_status=429,
    ),
    ErrorDefinition(
        "RATE_LIMIT_BANNED", Cat.RATE_LIMIT, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker has banned our address for asking too much.",
        "It goes on when the ban ends; lower the limit of calls.", retryable=True, http_status=429,
    ),
    ErrorDefinition(
        "RATE_LIMIT_CONNECTIONS", Cat.RATE_LIMIT, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "The account has as many connections as the broker allows.",
        "It is tried again; end connections that are not needed.", retryable=True, http_status=429,
    ),
    ErrorDefinition(
        "RATE_LIMIT_SUBSCRIPTIONS", Cat.RATE_LIMIT, Sev.MEDIUM, Do.MANUAL,
        "The account has as many subscriptions of data as the broker allows.",
        "End subscriptions that are not needed, or extend the plan.", http_status=429,
        manual_steps="List the running subscriptions, end those nobody reads, and subscribe again.",
    ),
)  # fmt: skip
