"""What makes two errors the same: a versioned fingerprint of what happened and where, never of ids or numbers."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reliability.core.guesses import normalize_message
from reliability.core.taxonomy import ErrorCategory, ErrorSeverity

VERSION = 1
_LENGTH = 32


@dataclass(frozen=True, slots=True)
class ErrorFacts:
    """One error as it was met.

    ``source`` is who failed (a dependency, ``jobs``, ``api``), ``kind`` the other side's code or the exception's
    class, ``place`` the innermost function of ours. ``fingerprint`` overrides what is computed, for errors whose
    sameness somebody knows better.
    """

    source: str
    operation: str
    code: str
    category: ErrorCategory
    severity: ErrorSeverity
    kind: str = ""
    place: str = ""
    message: str = ""
    correlation_id: str = ""
    subject: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    occurred_at: datetime | None = None
    fingerprint: str = ""


def fingerprint_of(facts: ErrorFacts, version: int = VERSION) -> str:
    """Return the first 32 hex digits of SHA-256 over what the errors of one kind share.

    Version 1: source, operation, category, code, kind without what varies in it, and place; or the override alone.
    A new version is added beside the old ones: groups are looked up by the newest first, then by those before.

    Raises:
        ValueError: there is no such version.
    """
    if version != 1:
        raise ValueError(f"there is no version {version} of the fingerprint")
    kind = normalize_message(facts.kind)
    parts = (
        ["override", facts.fingerprint]
        if facts.fingerprint
        else [facts.source, facts.operation, facts.category.value, facts.code, kind, facts.place]
    )
    text = json.dumps([version, *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def former_fingerprints(facts: ErrorFacts) -> list[str]:
    """Return what earlier versions made of it, newest first: an upgrade keeps every group."""
    return [fingerprint_of(facts, version) for version in range(VERSION - 1, 0, -1)]
