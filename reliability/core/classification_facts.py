"""A classification as plain values, for JSON, CSV and pages."""

from typing import Any

from reliability.core.classification import ClassifiedError

CSV_INPUT = ("source", "operation", "raw_code", "raw_message")
CSV_RESULT = ("code", "category", "severity", "retryable", "ambiguous", "strategy", "guessed")


def classification_facts(error: ClassifiedError) -> dict[str, Any]:
    """Return everything a person or a program needs to know of a classification, as JSON values."""
    definition, raw = error.definition, error.raw
    return {
        "source": raw.source,
        "operation": raw.operation.value,
        "raw_code": raw.raw_code,
        "raw_message": raw.message,
        "code": error.code,
        "category": error.category.value,
        "severity": error.severity.value,
        "retryable": error.retryable,
        "ambiguous": error.ambiguous,
        "kind": error.kind.value,
        "strategy": error.strategy.value,
        "guessed": error.guessed,
        "confidence": error.confidence,
        "rule": error.rule,
        "proof": error.proof.value,
        "message": definition.message,
        "suggestion": definition.suggestion,
        "manual_steps": definition.manual_steps,
        "escalation": definition.escalation,
        "runbook": definition.runbook,
        "retry_after_seconds": error.retry_after_seconds,
    }


def csv_result(error: ClassifiedError) -> tuple[str, ...]:
    """Return the columns of ``CSV_RESULT``; truth values are ``true`` and ``false``."""
    return (
        error.code,
        error.category.value,
        error.severity.value,
        str(error.retryable).lower(),
        str(error.ambiguous).lower(),
        error.strategy.value,
        str(error.guessed).lower(),
    )
