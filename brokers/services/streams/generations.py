"""Generations of an account's order stream: each begins when it is taken up or taken over."""

from django.utils import timezone

from brokers.core.streams import Endpoint, StreamChangeKind
from brokers.models import StreamChange, StreamSession


def current_generation(account_id: int) -> int:
    """Return how often the stream of an account was taken up or over; 0 for one that never was."""
    found = StreamSession.objects.filter(account_id=account_id).values_list("generation", flat=True).first()
    return found or 0


def holder_of(account_id: int) -> int:
    """Return the pulse of the process that took the stream up last, 0 where none ever did."""
    return StreamSession.objects.filter(account_id=account_id).values_list("pulse", flat=True).first() or 0


def is_caught_up(account_id: int, generation: int) -> bool:
    """Return whether everything up to the beginning of a generation is known."""
    return StreamSession.objects.filter(account_id=account_id, caught_up_generation__gte=generation).exists()


def catch_up(account_id: int, generation: int) -> bool:
    """Record, in the caller's transaction, that a snapshot begun in a generation was applied.

    Returns:
        Whether that generation is still the present one. A snapshot begun before the stream was
        taken up says nothing of what happened in between: another one is needed then.
    """
    session = StreamSession.objects.select_for_update(no_key=True).filter(account_id=account_id).first()
    if session is None or session.generation == 0:
        return True
    if session.generation != generation:
        return False
    if session.caught_up_generation < generation:
        session.caught_up_generation, session.caught_up_at = generation, timezone.now()
        session.save(update_fields=["caught_up_generation", "caught_up_at"])
        note_change(account_id, StreamChangeKind.CAUGHT_UP, Endpoint(session.endpoint))
    return True


def note_change(account_id: int, kind: StreamChangeKind, endpoint: Endpoint, reason: str = "") -> int:
    """Add a row to the history of a stream, in the caller's transaction, and return the generation it is of."""
    row = StreamSession.objects.filter(account_id=account_id).values_list("generation", "pulse").first()
    generation, pulse = row or (0, None)
    limit = StreamChange._meta.get_field("reason").max_length
    StreamChange.objects.create(
        account_id=account_id,
        kind=kind,
        endpoint=endpoint,
        generation=generation,
        pulse=pulse,
        reason=reason[:limit],
    )
    return int(generation)
