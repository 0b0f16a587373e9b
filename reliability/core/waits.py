"""The wait that another side names, from its headers or its words."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_EPOCH = re.compile(r"[0-9]{9,13}(\.[0-9]{1,9})?")
_IN_TEXT = re.compile(
    r"(?:retry|try again|wait)[\s_-]*(?:after|in|for)?[\"']?\s*[:=]?\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)"
    r"\s*(ms|milliseconds|seconds?|secs?|s|minutes?|min|m)?\b"
)
_UNITS = {"ms": 0.001, "milliseconds": 0.001, "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0}
WAIT_LIMIT_SECONDS = 86_400.0


def named_wait(headers: Mapping[str, str], text: str) -> float | None:
    """Return the wait in seconds that the other side asks for, in [0, one day], or None when it names none.

    ``Retry-After`` holds seconds or a date; a date, like ``X-RateLimit-Reset`` with its seconds since
    1970, is measured against the ``Date`` of the same answer, so that our own clock does not matter.
    ``text`` is the message in lower case.

    Source: RFC 9110, section 10.2.3.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    sent_at = _moment(fields.get("date", ""))
    for wait in (
        _named(fields.get("retry-after", ""), sent_at),
        _reset(fields.get("x-ratelimit-reset", ""), sent_at),
        _spoken(text),
    ):
        if wait is not None:
            return min(max(wait, 0.0), WAIT_LIMIT_SECONDS)
    return None


def _named(value: str, sent_at: datetime | None) -> float | None:
    if _NUMBER.fullmatch(value.strip()):
        return float(value)
    moment = _moment(value)
    return (moment - sent_at).total_seconds() if moment and sent_at else None


def _reset(value: str, sent_at: datetime | None) -> float | None:
    value = value.strip()
    if not _EPOCH.fullmatch(value):
        return float(value) if _NUMBER.fullmatch(value) else None
    seconds = float(value) / (1000 if len(value.partition(".")[0]) > 10 else 1)
    return seconds - sent_at.timestamp() if sent_at else None


def _spoken(text: str) -> float | None:
    match = _IN_TEXT.search(text)
    return float(match[1]) * _UNITS.get(match[2] or "", 1.0) if match else None


def _moment(value: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
