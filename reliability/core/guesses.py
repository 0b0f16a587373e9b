"""Failures that were guessed, reviewed by people: what makes two the same kind, and what a rule may claim."""

import hashlib
import re
from collections.abc import Collection
from enum import StrEnum

from reliability.core.classification import EFFECTFUL_OPERATIONS, Operation, Proof, RawFailure
from reliability.core.rule_table import codes_of, text_of

LONGEST_MESSAGE = 300
_READ = 2_000
_VARYING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # uuid
    r"|'[^'\n]{1,80}'|\"[^\"\n]{1,80}\""  # what is quoted
    r"|https?://\S+"
    r"|[\w.+-]*\d[\w.:,+-]*"  # a word with a number in it
    r"|[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffc\U00010000-\U0010ffff]"  # what no text column keeps, or is not text
)
_STARS = re.compile(r"\*[\s*]*\*|\*")


class GuessState(StrEnum):
    """What a person has made of a guess."""

    NEW = "new"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


def code_of(raw: RawFailure) -> str:
    """Return the raw code without what varies: of ``ReadTimeout: 10.0.0.1 did not answer`` the class, in lower case."""
    codes = codes_of(raw.raw_code)
    return next((code for code in codes if ":" not in code and "(" not in code), codes[-1])


def normalize_message(message: str) -> str:
    """Return what two messages of one kind have in common: lower case, ``*`` for ids, numbers and quoted words.

    At most 300 characters. ``words_pattern`` of the result finds every message it was made from.
    """
    text = " ".join(message[:_READ].lower().split())
    text = _STARS.sub("*", _VARYING.sub("*", text)).strip()
    return text[:LONGEST_MESSAGE].strip()


def fingerprint(raw: RawFailure) -> str:
    """Return what failures of one kind share: SHA-256 of source, operation, raw code and normalized message."""
    parts = ("1", raw.source, raw.operation.value, code_of(raw), normalize_message(text_of(raw)))
    text = "\x1f".join(parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def words_pattern(words: str) -> re.Pattern[str]:
    """Return the pattern that finds ``words`` in lower-cased text, ``*`` standing for anything between them.

    It looks for one piece after the other and never goes back, so that no text makes it slow.

    Raises:
        ValueError: there is no word in it.
    """
    pieces = [piece.split() for piece in words.lower().split("*")]
    found = [r"\s+".join(re.escape(word) for word in piece) for piece in pieces if piece]
    if not found:
        raise ValueError("name at least one word")
    return re.compile(r"\A" + "".join(f"(?>.*?{piece})" for piece in found), re.DOTALL)


def claims_no_effect(proof: Proof, operations: Collection[Operation]) -> bool:
    """Tell whether a rule would let an operation with an effect be sent again without asking: it can double an order.

    No operations stands for all of them.
    """
    concerns_effect = not operations or not EFFECTFUL_OPERATIONS.isdisjoint(operations)
    return proof in (Proof.NOT_SENT, Proof.REFUSED) and concerns_effect
