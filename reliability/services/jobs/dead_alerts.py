"""One alert for all dead letters of a kind: raised with the first, over with the last."""

from collections.abc import Iterable, Sequence

from reliability.core.jobs import JobState
from reliability.models import Job
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.alerting import Raising, end_alerts, raise_alerts

CONDITION = "job.dead_letter"


def tell_dead(dead: Sequence[tuple[str, str]]) -> None:
    """Raise the alerts of jobs that died, given as kind and error message, in the caller's transaction."""
    few = _kinds_with_few({kind for kind, _ in dead}) if dead else set()
    told = [(kind, message) for kind, message in dead if kind not in few]
    raise_alerts([Raising(CONDITION, f"jobs:{kind}", f"A job {kind} died: {message}") for kind, message in told])


def _kinds_with_few(kinds: set[str]) -> set[str]:
    """Return the kinds of which fewer are dead than are worth an alert."""
    fewest = int(read_thresholds(CONDITION)["fewest"])
    if fewest <= 1:
        return set()
    dead = Job.objects.filter(state=JobState.DEAD)
    return {kind for kind in kinds if len(dead.filter(kind=kind)[:fewest]) < fewest}


def tell_decided(kinds: Iterable[str], *, actor: str, reason: str) -> None:
    """End the alerts of those kinds of which none is dead any more."""
    left = set(Job.objects.filter(state=JobState.DEAD, kind__in=kinds).values_list("kind", flat=True))
    over = sorted(set(kinds) - left)
    if over:
        end_alerts([(CONDITION, f"jobs:{kind}") for kind in over], by=actor, reason=reason)
