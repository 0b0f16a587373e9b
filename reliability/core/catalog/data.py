"""Codes of the category data: what arrived is wrong."""

from reliability.core.catalog.phrases import LOOK_UP
from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "DATA_MALFORMED_REPLY", Cat.DATA, Sev.HIGH, Do.RETRY_BACKOFF,
        "The broker's answer could not be read.", LOOK_UP, retryable=True, ambiguous=True, http_status=502,
    ),
    ErrorDefinition(
        "DATA_WRONG_ORDER", Cat.DATA, Sev.CRITICAL, Do.RETRY_BACKOFF,
        "The broker answered with another order.", LOOK_UP, retryable=True, ambiguous=True, http_status=502,
    ),
    ErrorDefinition(
        "DATA_ORDER_TERMS_DIFFER", Cat.DATA, Sev.CRITICAL, Do.MANUAL,
        "The broker holds an order under our id with other terms.",
        "Compare both orders; cancel the wrong one at the broker.", http_status=409,
        manual_steps="Open the order's evidence, compare with the broker's screen, decide, then discard the dead letter.",
    ),
    ErrorDefinition(
        "DATA_FEED_INTERRUPTED", Cat.DATA, Sev.MEDIUM, Do.RETRY_IMMEDIATE,
        "A feed was halted or reset.", "It is subscribed again and what was missed is fetched.",
        retryable=True, http_status=503,
    ),
    ErrorDefinition(
        "DATA_NOT_AVAILABLE", Cat.DATA, Sev.LOW, Do.DEGRADE,
        "The source does not have this data.", "Ask for another time or symbol, or ask another source.",
        http_status=404,
    ),
    ErrorDefinition(
        "DATA_CONSTRAINT_VIOLATED", Cat.DATA, Sev.MEDIUM, Do.MANUAL,
        "The database refuses a row that contradicts what it holds.",
        "Nothing was written. Look at what is there already: it may be the same thing, recorded before.", http_status=409,
        manual_steps="Read the name of the constraint in the details and compare both rows.",
    ),
    ErrorDefinition(
        "DATA_HISTORY_BROKEN", Cat.DATA, Sev.CRITICAL, Do.MANUAL,
        "The recorded history of an order contradicts itself.",
        "Nothing was written. Find out who wrote to the database beside this program.", http_status=409,
        manual_steps="Run `manage.py audit verify`, compare with the copies of the anchors, and with the broker's records.",
    ),
    ErrorDefinition(
        "DATA_INTEGRITY_IN_DOUBT", Cat.DATA, Sev.CRITICAL, Do.MANUAL,
        "After a recovery the account's books do not balance.",
        "Trading on it stays frozen. Read what the verdict found.", http_status=409,
        manual_steps="Settle each finding of the recovery run with the broker's records, then have the account recovered again.",
    ),
    ErrorDefinition(
        "DATA_VALUE_REFUSED", Cat.DATA, Sev.MEDIUM, Do.MANUAL,
        "The database cannot hold a value that was given.",
        "Nothing was written. Correct the value named in the details.", http_status=422,
        manual_steps="Find where the value came from; a broker's reply may be out of range.",
    ),
)  # fmt: skip
