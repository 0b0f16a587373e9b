"""Codes of the category network: bytes could not travel."""

from reliability.core.catalog.phrases import LOOK_UP
from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
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
    ),
    ErrorDefinition(
        "NETWORK_UNREACHABLE", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "There is no route to the broker.", "Check the host's network; it is tried again.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_CONNECTION_LOST", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "The connection ended after the request may have left.", LOOK_UP,
        retryable=True, ambiguous=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_STREAM_SILENT", Cat.NETWORK, Sev.HIGH, Do.FAILOVER,
        "The order stream gave no sign of life in time.",
        "It is reconnected at once and what was missed is fetched.", retryable=True, http_status=503,
        fallback="Fills come by asking meanwhile.",
    ),
    ErrorDefinition(
        "NETWORK_STREAM_CLOSED", Cat.NETWORK, Sev.MEDIUM, Do.RETRY_IMMEDIATE,
        "The order stream was closed.", "It is reconnected at once and what was missed is fetched.",
        retryable=True, http_status=503,
        fallback="Fills come by asking meanwhile.",
    ),
    ErrorDefinition(
        "NETWORK_NOT_CONNECTED", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "There is no connection to the broker's gateway.", "Nothing was sent; it is connected anew.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_FEED_DISCONNECTED", Cat.NETWORK, Sev.MEDIUM, Do.RETRY_BACKOFF,
        "The broker lost the connection to a source of market data.",
        "It comes back by itself; the gap is filled afterwards.", retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "NETWORK_PROXY_FAILED", Cat.NETWORK, Sev.HIGH, Do.RETRY_BACKOFF,
        "The proxy on the way to the broker let nothing through.",
        "Check the proxy's address and credentials, and whether it allows the broker's host; it is tried again.", retryable=True, http_status=503,
    ),
)  # fmt: skip
