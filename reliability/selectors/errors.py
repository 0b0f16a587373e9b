"""Reading guesses about failures and the rules people made of them."""

from typing import Any

from reliability.core.guesses import GuessState
from reliability.models import ErrorGuess


def list_guesses(
    *, state: str = "", source: str = "", after_id: int | None = None, limit: int = 100
) -> list[ErrorGuess]:
    """Return kinds of guessed failures, newest first; ``after_id`` goes on after the last one of a page."""
    rows = ErrorGuess.objects.select_related("rule").order_by("-id")
    if state:
        rows = rows.filter(state=state)
    if source:
        rows = rows.filter(source=source)
    if after_id is not None:
        rows = rows.filter(pk__lt=after_id)
    return list(rows[:limit])


def find_guess(guess_id: int) -> ErrorGuess | None:
    return ErrorGuess.objects.filter(pk=guess_id).first()


def count_new_guesses() -> int:
    """Return how many kinds of failures wait for a review."""
    return ErrorGuess.objects.filter(state=GuessState.NEW).count()


def guess_facts(guess: ErrorGuess) -> dict[str, Any]:
    """Return a guess as plain data."""
    return {
        "id": guess.pk,
        "source": guess.source,
        "operation": guess.operation,
        "raw_code": guess.raw_code,
        "message": guess.message,
        "sample": guess.sample,
        "code": guess.code,
        "confidence": guess.confidence,
        "proof": guess.proof,
        "ambiguous": guess.ambiguous,
        "count": guess.count,
        "first_seen_at": guess.first_seen_at,
        "last_seen_at": guess.last_seen_at,
        "state": guess.state,
        "decided_by": guess.decided_by,
        "decided_at": guess.decided_at,
        "decided_reason": guess.decided_reason,
        "rule": guess.rule_id,
    }
