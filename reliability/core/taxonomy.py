"""What an error can be: the closed sets every part of Stanchion speaks in."""

from dataclasses import dataclass
from enum import StrEnum


class ErrorCategory(StrEnum):
    """Where a failure comes from."""

    NETWORK = "network"
    AUTHENTICATION = "auth"
    RATE_LIMIT = "rate_limit"
    VALIDATION = "validation"
    BROKER = "broker"
    TIMEOUT = "timeout"
    DATA = "data"
    SYSTEM = "system"


class ErrorSeverity(StrEnum):
    """How much it matters, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return its place, 1 for the worst: what rows are sorted and compared by."""
        return _RANKS[self]

    @classmethod
    def of_rank(cls, rank: int) -> "ErrorSeverity":
        """Return the severity at a place; raises ``IndexError`` beyond the last."""
        return list(cls)[rank - 1]


_RANKS = {severity: place for place, severity in enumerate(ErrorSeverity, start=1)}


class RecoveryStrategy(StrEnum):
    """What is done about it."""

    RETRY_IMMEDIATE = "retry_immediate"
    RETRY_BACKOFF = "retry_backoff"
    CIRCUIT_BREAK = "circuit_break"
    FAILOVER = "failover"
    DEGRADE = "degrade"
    MANUAL = "manual"
    IGNORE = "ignore"


class FailureKind(StrEnum):
    """What a failed call proves about its effect.

    ``TRANSIENT``: provably not carried out, may work later. ``THROTTLED``: not carried
    out, told to slow down. ``REJECTED``: definitely refused. ``AMBIGUOUS``: sent, outcome
    unknown; only a look-up can tell, and nothing is resent before it.
    """

    TRANSIENT = "transient"
    THROTTLED = "throttled"
    REJECTED = "rejected"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class ErrorDefinition:
    """One entry of the error catalogue: everything a caller or an operator needs to know of a code.

    ``ambiguous``: an operation with an effect may have been carried out although it failed like this.
    ``manual_steps``: what a person does; ``escalation``: who is told, and when; ``fallback``: what can be
    used or done instead meanwhile.
    """

    code: str
    category: ErrorCategory
    severity: ErrorSeverity
    strategy: RecoveryStrategy
    message: str
    suggestion: str
    retryable: bool = False
    ambiguous: bool = False
    http_status: int = 500
    manual_steps: str = ""
    escalation: str = ""
    fallback: str = ""

    @property
    def runbook(self) -> str:
        """Return where the procedure is written: a page of the documentation and its anchor."""
        return f"docs/reference/errors.md#{self.code.lower()}"
