"""Instants on the command line."""

from datetime import UTC, datetime


def instant_argument(text: str) -> datetime:
    """Return an ISO 8601 instant, UTC unless it carries an offset; raises ``ValueError``, which argparse tells."""
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


instant_argument.__name__ = "instant"  # argparse names it in its refusal
