"""Errors that services raise for their callers to see."""

from typing import Any

from reliability.core.catalog import get_definition
from reliability.core.taxonomy import ErrorDefinition


class ReliabilityError(Exception):
    """An error with a code of the catalogue; ``details`` is shown to the caller."""

    def __init__(
        self,
        code: str,
        message: str = "",
        details: dict[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(code, message, details, retry_after_seconds)
        self.code = code
        self.details = details or {}
        self.retry_after_seconds = retry_after_seconds
        self._message = message

    @property
    def definition(self) -> ErrorDefinition:
        return get_definition(self.code)

    @property
    def message(self) -> str:
        return self._message or self.definition.message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
