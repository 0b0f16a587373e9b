"""What a failure that no rule knows looks like: its words, numbers and shape give a code and a confidence.

A guess never proves that nothing happened, with one exception: words of the broker that only
somebody who looked at the request and turned it down would use.
"""

import re
from dataclasses import dataclass

from reliability.core.classification import EFFECTFUL_OPERATIONS, Operation, Proof, RawFailure
from reliability.core.rules import Verdict
from reliability.core.sources.transport import transport_verdict
from reliability.core.wording import find_phrase

_MARKUP = re.compile(r"<\s*(!doctype|html|head|body|title|\?xml)\b")
_STATUS = re.compile(r"(?<![\w.])([45]\d\d)(?![\w.])")
_WORD_PARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.:/]+")
_BY_STATUS = {
    401: "AUTH_INVALID_CREDENTIALS",
    403: "AUTH_FORBIDDEN",
    408: "TIMEOUT_GATEWAY",
    418: "RATE_LIMIT_EXCEEDED",
    429: "RATE_LIMIT_EXCEEDED",
    500: "BROKER_SERVER_ERROR",
    502: "BROKER_UNAVAILABLE",
    503: "BROKER_UNAVAILABLE",
    504: "TIMEOUT_GATEWAY",
}
_BROKER_OPERATIONS = frozenset(
    {
        Operation.SUBMIT,
        Operation.CANCEL,
        Operation.MODIFY,
        Operation.QUERY,
        Operation.ACCOUNT,
        Operation.STREAM,
        Operation.DATA,
        Operation.CONNECT,
    }
)
LOOKED_AT = frozenset(
    {
        "BROKER_INSUFFICIENT_FUNDS",
        "BROKER_INSUFFICIENT_POSITION",
        "BROKER_MARKET_CLOSED",
        "BROKER_PATTERN_DAY_TRADER",
        "BROKER_WASH_TRADE",
        "VALIDATION_INVALID_ORDER",
        "VALIDATION_UNKNOWN_SYMBOL",
    }
)
"""Refusals whose words only somebody uses who looked at the order, whoever he is."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What a failure seems to be; ``confidence`` in [0, 1]."""

    verdict: Verdict
    confidence: float


def guess(raw: RawFailure, text: str) -> Guess:
    """Return what ``raw`` seems to be; ``text`` is its detail and message in lower case.

    Words of the message weigh most, then the shape of the raw code, then a number that looks like an
    HTTP status. What agrees raises the confidence; what nothing speaks for is unclassified.
    """
    shape = _WORD_PARTS.sub(" ", raw.raw_code[:200]).lower()
    findings = [
        (_by_words(text), 0.7),
        (_by_words(shape), 0.6),
        (_by_status(f"{raw.raw_code[:50]} {text[:500]}"), 0.4),
    ]
    known = [(verdict, weight) for verdict, weight in findings if verdict is not None]
    if not known:
        return Guess(_unclassified(raw.operation), 0.1)
    verdict, confidence = known[0]
    confidence += sum(0.1 for other, _ in known[1:] if other.code == verdict.code)
    confidence -= sum(0.1 for other, _ in known[1:] if other.code != verdict.code)
    if _MARKUP.search(text):
        confidence -= 0.2
    return Guess(_cautious(raw, verdict, text), round(min(max(confidence, 0.1), 0.9), 2))


def _by_words(text: str) -> Verdict | None:
    phrase = find_phrase(text)
    if phrase is not None:
        return Verdict(phrase.code, phrase.proof)
    return transport_verdict(text)


def _by_status(text: str) -> Verdict | None:
    for match in _STATUS.finditer(text):
        code = _BY_STATUS.get(int(match[1]))
        if code:
            return Verdict(code, Proof.UNPROVEN)
    return None


def _unclassified(operation: Operation) -> Verdict:
    return Verdict("BROKER_UNCLASSIFIED" if operation in _BROKER_OPERATIONS else "SYSTEM_UNCLASSIFIED", Proof.UNPROVEN)


def _cautious(raw: RawFailure, verdict: Verdict, text: str) -> Verdict:
    """Take back every proof that a guess cannot give."""
    if raw.operation not in EFFECTFUL_OPERATIONS or verdict.proof is Proof.EXISTS:
        return verdict
    certain = verdict.proof is Proof.REFUSED and verdict.code in LOOKED_AT
    mixed = transport_verdict(text) is not None or _MARKUP.search(text)
    if certain and not mixed and not _by_status_leaves_open(raw, text):
        return verdict
    return Verdict(verdict.code, Proof.UNPROVEN)


def _by_status_leaves_open(raw: RawFailure, text: str) -> bool:
    """Return whether a number says that the other side failed, which outweighs its words."""
    verdict = _by_status(f"{raw.raw_code[:50]} {text[:500]}")
    return verdict is not None and verdict.code.startswith(("BROKER_", "TIMEOUT_"))
