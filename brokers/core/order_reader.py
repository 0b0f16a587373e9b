"""Reading the fields of a caller's order one by one, and what is wrong with them."""

import re
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

MAX_WHOLE_DIGITS = 15
MAX_DECIMAL_PLACES = 9
_SMALLEST = Decimal(1).scaleb(-MAX_DECIMAL_PLACES)
_EXACT = Context(prec=MAX_WHOLE_DIGITS + MAX_DECIMAL_PLACES + 1)

_E = TypeVar("_E", bound=StrEnum)


class OrderInvalidError(ValueError):
    """The order cannot be accepted; ``problems`` maps each wrong field to what is wrong with it."""

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__(problems)
        self.problems = {name: list(texts) for name, texts in problems.items()}

    def __str__(self) -> str:
        return "; ".join(f"{name}: {' '.join(texts)}" for name, texts in self.problems.items())


class OrderReader:
    """Reads fields one by one and collects what is wrong with them."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._prefix = ""
        self.problems: dict[str, list[str]] = {}

    def problem(self, name: str, text: str) -> None:
        self.problems.setdefault(self._prefix + name, []).append(text)

    def within(self, name: str, data: Mapping[str, Any]) -> "OrderReader":
        """Return a reader of an object inside; what is wrong in it is noted here, as ``name.field``."""
        inner = OrderReader(data)
        inner.problems, inner._prefix = self.problems, f"{self._prefix}{name}."
        return inner

    def pattern(self, name: str, pattern: re.Pattern[str], meaning: str) -> str:
        value = self._data.get(name)
        if isinstance(value, str) and pattern.fullmatch(value):
            return value
        self.problem(name, f"must be {meaning}")
        return ""

    def choice(self, name: str, kind: type[_E], default: _E | None) -> _E:
        value = self._data.get(name)
        if value is None and default is not None:
            return default
        try:
            return kind(str(value))
        except ValueError:
            self.problem(name, "must be one of " + ", ".join(kind))
            return next(iter(kind))

    def flag(self, name: str) -> bool:
        value = self._data.get(name, False)
        if not isinstance(value, bool):
            self.problem(name, "must be true or false")
            return False
        return value

    def amount(self, name: str) -> Decimal | None:
        value = self._data.get(name)
        if value is None:
            return None
        number = _decimal(value)
        if number is None:
            self.problem(name, "must be a decimal number")
        elif number <= 0:
            self.problem(name, "must be greater than 0")
        elif number.adjusted() >= MAX_WHOLE_DIGITS:
            self.problem(name, f"must have at most {MAX_WHOLE_DIGITS} digits before the point")
        elif number != number.quantize(_SMALLEST, context=_EXACT):
            self.problem(name, f"must have at most {MAX_DECIMAL_PLACES} decimal places")
        return number


def _decimal(value: object) -> Decimal | None:
    """Return a finite Decimal, or None when ``value`` is not one: floats are refused, they are not exact."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    if isinstance(value, str) and (len(value) > 40 or not value.isascii() or value != value.strip() or "_" in value):
        return None
    if isinstance(value, int) and value.bit_length() > 128:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
