"""What a raw failure means: one classification for every source, decided by rules that adapters contribute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reliability.core.taxonomy import ErrorCategory, ErrorDefinition, ErrorSeverity, FailureKind, RecoveryStrategy


class Operation(StrEnum):
    """What was being done when it failed; it decides what a failure can have left behind."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    MODIFY = "modify"
    QUERY = "query"
    ACCOUNT = "account"
    STREAM = "stream"
    DATA = "data"
    CONNECT = "connect"
    DB = "db"
    DB_COMMIT = "db_commit"
    CACHE = "cache"
    QUEUE = "queue"
    LOCK = "lock"


EFFECTFUL_OPERATIONS = frozenset(
    {
        Operation.SUBMIT,
        Operation.CANCEL,
        Operation.MODIFY,
        Operation.DB_COMMIT,
        Operation.QUEUE,  # a message may have been taken although its receipt was lost
        Operation.LOCK,  # whoever lost a lock without knowing may not have been alone
    }
)
"""Operations that may have been carried out although they failed. Only they can be ambiguous."""


class Proof(StrEnum):
    """What a failure proves about the effect of the operation.

    ``NOT_SENT``: it never left us, or provably never arrived. ``REFUSED``: the other side provably
    did not carry it out. ``EXISTS``: what was asked for may be there already. ``UNPROVEN``: anything
    may have happened, so an operation with an effect is ambiguous. When in doubt, unproven.
    """

    NOT_SENT = "not_sent"
    REFUSED = "refused"
    EXISTS = "exists"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class RawFailure:
    """A failure as it was met.

    ``source`` names who speaks (``alpaca_rest``, ``ccxt``, ``psycopg``, ...), ``raw_code`` is that
    source's own code: ``HTTP status/broker code`` with ``-`` for a missing one, an exception class,
    an SQLSTATE. ``causes`` are the wrapped exceptions (``__cause__`` first) as class name and text.
    """

    source: str
    operation: Operation
    raw_code: str = ""
    message: str = ""
    http_status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    causes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ClassifiedError:
    """What a failure means for the operation it ended.

    ``ambiguous``: it may have been carried out, so that only a look-up can tell. ``retryable``: the
    same intent may be sent again, if ambiguous only after a look-up proved its absence. ``guessed``
    with a ``confidence`` in [0, 1]: no rule knew it, its features decided. ``rule`` names what decided,
    ``proof`` what it took for proven.
    """

    definition: ErrorDefinition
    severity: ErrorSeverity
    strategy: RecoveryStrategy
    retryable: bool
    ambiguous: bool
    raw: RawFailure
    rule: str
    guessed: bool = False
    confidence: float = 1.0
    retry_after_seconds: float | None = None
    proof: Proof = Proof.UNPROVEN

    @property
    def code(self) -> str:
        return self.definition.code

    @property
    def category(self) -> ErrorCategory:
        return self.definition.category

    @property
    def kind(self) -> FailureKind:
        """Return what is proven about the effect; what waits for better credentials may work later."""
        if self.ambiguous:
            return FailureKind.AMBIGUOUS
        if self.category is ErrorCategory.RATE_LIMIT:
            return FailureKind.THROTTLED
        curable = self.category is ErrorCategory.AUTHENTICATION
        return FailureKind.TRANSIENT if self.retryable or curable else FailureKind.REJECTED
