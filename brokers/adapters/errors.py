"""How a broker call fails."""

from reliability.core.catalog import get_definition
from reliability.core.classification import ClassifiedError, Operation, RawFailure
from reliability.core.taxonomy import ErrorCategory, FailureKind
from reliability.core.text import storable


class BrokersError(Exception):
    """Base of every error of this app."""


class BrokerCallError(BrokersError):
    """One call to a broker did not succeed.

    ``kind`` says what that proves about its effect, ``code`` is the stable code of the
    error catalogue, ``raw_code`` the broker's own (``HTTP status/broker code`` or an
    exception class), ``retry_after_seconds`` is set when the broker named a wait. ``unexplained``:
    no rule of the adapter knew it, so its shape alone decided. ``rule`` names who decided.
    """

    def __init__(
        self,
        kind: FailureKind,
        code: str,
        message: str,
        raw_code: str = "",
        retry_after_seconds: float | None = None,
        unexplained: bool = False,
        rule: str = "adapter",
    ) -> None:
        message, raw_code = storable(message), storable(raw_code)
        super().__init__(kind, code, message, raw_code, retry_after_seconds, unexplained, rule)
        self.kind = kind
        self.code = code
        self.message = message
        self.raw_code = raw_code
        self.retry_after_seconds = retry_after_seconds
        self.unexplained = unexplained
        self.rule = rule

    def reworded(self, message: str) -> "BrokerCallError":
        """Return the same failure in other words: without secrets."""
        facts = (self.raw_code, self.retry_after_seconds, self.unexplained, self.rule)
        return BrokerCallError(self.kind, self.code, message, *facts)

    def __str__(self) -> str:
        return f"{self.code} ({self.kind}): {self.message}"

    @property
    def category(self) -> ErrorCategory:
        """Return the category of the code; raises ``UnknownErrorCodeError`` for a code that is not in the catalogue."""
        return get_definition(self.code).category

    def classified(self, source: str, operation: Operation) -> ClassifiedError:
        """Return this failure as a classification: what the code says in general, what the kind proves of this call."""
        definition = get_definition(self.code)
        ambiguous = self.kind is FailureKind.AMBIGUOUS
        return ClassifiedError(
            definition=definition,
            severity=definition.severity,
            strategy=definition.strategy,
            retryable=definition.retryable if ambiguous else self.kind is not FailureKind.REJECTED,
            ambiguous=ambiguous,
            raw=RawFailure(source, operation, self.raw_code, self.message),
            rule=self.rule,
            retry_after_seconds=self.retry_after_seconds,
        )


class StreamLostError(BrokersError):
    """An order stream ended, was refused, or fell silent; ``code`` is of the error catalogue."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
