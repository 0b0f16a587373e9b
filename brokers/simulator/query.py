"""Read query parameters, refusing bad ones in Alpaca's manner."""

from collections.abc import Mapping
from datetime import UTC, datetime

from brokers.simulator.requests import refuse

YEARS = range(1900, 2200)


def whole_number(query: Mapping[str, str], name: str, default: int, largest: int) -> int:
    text = query.get(name) or str(default)
    if not text.isdigit() or int(text) < 1:
        raise refuse(f"invalid {name}: {text}")
    if int(text) > largest:
        raise refuse(f"{name} must be at most {largest}")
    return int(text)


def one_of(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """Return a parameter that must be one of ``choices``; the first is the default."""
    value = query.get(name) or choices[0]
    if value not in choices:
        raise refuse(f"invalid {name}: {value}")
    return value


def instant_of(query: Mapping[str, str], name: str) -> datetime | None:
    """Return a time given as RFC 3339 or as a date; without an offset it is UTC."""
    text = query.get(name)
    if not text:
        return None
    try:
        value = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        raise refuse(f"invalid {name}: {text}") from error
    if value.year not in YEARS:
        raise refuse(f"invalid {name}: {text}")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def names_of(query: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in query.get(name, "").split(",") if part.strip()]
