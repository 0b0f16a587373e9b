"""One alert for all dead letters of a kind: raised with the first, over with the last."""

from collections.abc import Iterable, Sequence

from reliability.core.jobs import JobState
from reliability.models import Job
from reliability.services.alerting import Raising, end_alerts, raise_alerts

CONDITION = "job.dead_letter"


def tell_dead(dead: Sequence[tuple[str, str]]) -> None:
    """Raise the alerts of jobs that died, given as kind and error message, in the caller's transaction."""
    raise_alerts([Raising(CONDITION, f"jobs:{kind}", f"A job {kind} died: {message}") for kind, message in dead])


def tell_decided(kinds: Iterable[str], *, actor: str, reason: str) -> None:
    """End the alerts of those kinds of which none is dead any more."""
    left = set(Job.objects.filter(state=JobState.DEAD, kind__in=kinds).values_list("kind", flat=True))
    over = sorted(set(kinds) - left)
    if over:
        end_alerts([(CONDITION, f"jobs:{kind}") for kind in over], by=actor, reason=reason)
