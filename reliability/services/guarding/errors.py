"""What a guard raises by itself: calls it did not begin, and coroutines it ended."""

import math

from reliability.core.catalog import get_definition
from reliability.core.classification import EFFECTFUL_OPERATIONS, ClassifiedError, Operation, RawFailure
from reliability.core.errors import ReliabilityError


class CallRefusedError(ReliabilityError):
    """The call was not begun, for a reason on our side; it may be after ``wait_seconds``."""

    def __init__(self, code: str, dependency: str, wait_seconds: float) -> None:
        details = {"dependency": dependency}
        super().__init__(code, details=details, retry_after_seconds=math.ceil(wait_seconds))
        self.args = (code, dependency, wait_seconds)
        self.dependency = dependency
        self.wait_seconds = wait_seconds


class CallTimeoutError(TimeoutError):
    """A coroutine was ended at its timeout: what it asked for may have been carried out."""

    def __init__(self, dependency: str, seconds: float) -> None:
        super().__init__(dependency, seconds)
        self.dependency = dependency
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.dependency} did not answer within {self.seconds:g} s"

    def classified(self, source: str, operation: Operation) -> ClassifiedError:
        """Return what this means, whoever was called."""
        definition = get_definition("TIMEOUT_READ")
        return ClassifiedError(
            definition=definition,
            severity=definition.severity,
            strategy=definition.strategy,
            retryable=True,
            ambiguous=operation in EFFECTFUL_OPERATIONS,
            raw=RawFailure(source, operation, type(self).__name__, str(self)),
            rule="guard:timeout",
        )
