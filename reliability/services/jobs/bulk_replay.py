"""Replays of dead letters as people ask for them: one is replayed at once, several take a second person."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reliability.core.errors import ReliabilityError
from reliability.core.jobs import JobState
from reliability.models import Job, ProposedChange
from reliability.services.changes import AgreedChange, ChangeKind, propose_change, register_change_kind
from reliability.services.jobs.deadletters import MOST_AT_ONCE, replay_dead_letters

REPLAY_KIND = "jobs.replay"
OPERATE_PERMISSION = "reliability.operate_deadletter"


@dataclass(frozen=True, slots=True)
class Replay:
    """What became of a wish: ``changed`` jobs run again, or ``change`` is the number of the proposal."""

    changed: int
    change: int | None = None

    def __str__(self) -> str:
        if self.change is not None:
            return f"Proposed as change {self.change}: another person confirms the replay within the hour."
        return f"{self.changed} dead letter{'' if self.changed == 1 else 's'} will run again."


def ask_for_replay(ids: Sequence[int], *, by: str, reason: str) -> Replay:
    """Replay one dead letter, or propose the replay of several to a second person.

    Returns:
        How many run again, or the number of the proposal: exactly these jobs, dead of what they are dead of now.

    Raises:
        ReliabilityError: as ``replay_dead_letters``; or ``by`` is no active person who may.
    """
    wanted = sorted(set(ids))
    if len(wanted) == 1:
        return Replay(replay_dead_letters(wanted, actor=by, reason=reason))
    if len(wanted) > MOST_AT_ONCE:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"At most {MOST_AT_ONCE} at once.")
    dead = list(Job.objects.filter(pk__in=wanted, state=JobState.DEAD).order_by("pk").values_list("pk", "kind"))
    if not dead:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "None of these is a dead letter any more.")
    chosen = [pk for pk, _ in dead]
    kinds = dict(sorted(Counter(kind for _, kind in dead).items()))
    name = hashlib.sha256(repr(chosen).encode()).hexdigest()[:16]
    title = f"Replay {len(chosen)} dead letters: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}"
    content = {"jobs": chosen, "kinds": kinds}
    return Replay(0, propose_change(REPLAY_KIND, f"jobs:{name}", title=title, content=content, by=by, reason=reason))


def register_bulk_replay() -> None:
    register_change_kind(ChangeKind(REPLAY_KIND, OPERATE_PERMISSION, "replay dead letters", _replay))


def _replay(agreed: AgreedChange) -> str:
    """Replay those that are still dead of what they were dead of; what died again later was not agreed on."""
    change = ProposedChange.objects.get(pk=agreed.id)
    rows = Job.objects.filter(pk__in=agreed.content["jobs"], state=JobState.DEAD, finished_at__lte=change.proposed_at)
    ids = list(rows.values_list("pk", flat=True))
    if not ids:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "None of these is the same dead letter any more.")
    changed = replay_dead_letters(ids, actor=agreed.actor, reason=agreed.reason)
    return f"{changed} of {len(agreed.content['jobs'])} dead letters will run again."
