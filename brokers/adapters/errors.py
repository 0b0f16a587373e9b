"""How a broker call fails."""

from reliability.core.taxonomy import FailureKind
from reliability.core.text import storable


class BrokersError(Exception):
    """Base of every error of this app."""


class BrokerCallError(BrokersError):
    """One call to a broker did not succeed.

    ``kind`` says what that proves about its effect, ``code`` is the stable code of the
    error catalogue, ``raw_code`` the broker's own (``HTTP status/broker code`` or an
    exception class), ``retry_after_seconds`` is set when the broker named a wait.
    """

    def __init__(
        self,
        kind: FailureKind,
        code: str,
        message: str,
        raw_code: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        message, raw_code = storable(message), storable(raw_code)
        super().__init__(kind, code, message, raw_code, retry_after_seconds)
        self.kind = kind
        self.code = code
        self.message = message
        self.raw_code = raw_code
        self.retry_after_seconds = retry_after_seconds

    def __str__(self) -> str:
        return f"{self.code} ({self.kind}): {self.message}"


class StreamLostError(BrokersError):
    """An order stream ended, was refused, or fell silent; ``code`` is of the error catalogue."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
