"""Secrets that this process has opened, known by what they are: wherever one turns up, it is hidden.

What looks like a secret or goes under a secret's name is found without this (``scrubbing``); a key of another shape in
the text of an exception is not.
"""

import re
import threading
from collections.abc import Iterable

HIDDEN = "***"
SHORTEST = 8
"""Shorter ones are not remembered: they would be found in innocent words."""
_MOST = 5_000
_OWN_PREFIX = "st_"
OWN_TOKEN = re.compile(r"\bst_[0-9a-f]{16,}\b")

_lock = threading.Lock()
_known: dict[str, None] = {}
_pattern: re.Pattern[str] | None = None


def remember_secrets(secrets: Iterable[str]) -> None:
    """Hide these from now on, however often they are opened; of too many, those known for longest give way."""
    global _pattern
    fresh = [one for one in secrets if len(one) >= SHORTEST and one not in _known]
    if not fresh:
        return
    with _lock:
        _known.update(dict.fromkeys(fresh))
        while len(_known) > _MOST:
            del _known[next(iter(_known))]
        longest_first = sorted(_known, key=len, reverse=True)
        _pattern = re.compile("|".join(map(re.escape, longest_first)))


def forget_secrets() -> None:
    """Know of none, as a process that has just begun."""
    global _pattern
    with _lock:
        _known.clear()
        _pattern = None


def hide_known(text: str) -> str:
    """Return a text with every secret that is known replaced, and everything that has the form of our own tokens."""
    pattern = _pattern
    shown = text if pattern is None else pattern.sub(HIDDEN, text)
    return OWN_TOKEN.sub(HIDDEN, shown) if _OWN_PREFIX in shown else shown
