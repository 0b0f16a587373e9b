"""Keeping secrets out of what is written down: by the name they go under, and by what they look like."""

import re
from typing import Any

from reliability.core.known_secrets import HIDDEN, hide_known

_SECRET_WORDS = (
    "secret",
    "password",
    "passwd",
    "token",
    "authorization",
    "api_key",
    "apikey",
    "account_number",
    "cookie",
)
_LONGEST = 20_000

_LOOKS = (
    re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"),  # user:password@ of an address
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/=]{8,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),  # a JSON Web Token
    re.compile(r"\b(?:PK|AK|CK)[A-Z0-9]{16,24}\b"),  # a key of Alpaca's
    # NAME=value and "name": "value" inside a text, for the same names as below
    re.compile(
        r"""(?ix)(?<=[\s"'{,?&(])(?:[a-z0-9_-]*(?:secret|password|passwd|token|api[_-]?key|account[_-]number)[a-z0-9_-]*)
        ["']?\s*[=:]\s*["']?(?P<value>[^\s"',;&}]{4,})"""
    ),
)


def scrubbed(value: Any) -> Any:
    """Return plain data with secrets replaced at any depth: values named like one, and texts that hold one."""
    if isinstance(value, dict):
        return {key: HIDDEN if is_secret_name(str(key)) else scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(item) for item in value]
    return scrubbed_text(value) if isinstance(value, str) else value


def scrubbed_text(text: str) -> str:
    """Return a text with everything in it that looks like a secret replaced."""
    text = hide_known(text[:_LONGEST])
    for look in _LOOKS:
        text = look.sub(_hide, text)
    return text


def is_secret_name(name: str) -> bool:
    """Return whether what goes under this name is never shown."""
    lowered = name.lower().replace("-", "_")
    return any(word in lowered for word in _SECRET_WORDS)


def _hide(found: re.Match[str]) -> str:
    if "value" not in found.groupdict():
        return HIDDEN
    begin, end = found.span("value")
    return found.string[found.start() : begin] + HIDDEN + found.string[end : found.end()]
