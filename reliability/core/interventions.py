"""What a person is asked to decide: choices with their effects, and what becomes of the question."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

CLAIM_LEASE = timedelta(minutes=15)
PROPOSAL_LASTS = timedelta(hours=1)


class InterventionState(StrEnum):
    """Open: nobody decided. Proposed: a second person is asked. Withdrawn: it answered itself."""

    OPEN = "open"
    PROPOSED = "proposed"
    DECIDED = "decided"
    WITHDRAWN = "withdrawn"


UNDECIDED = (InterventionState.OPEN, InterventionState.PROPOSED)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that can be decided.

    ``effect`` says what happens, ``needs_second`` whether another person must agree: wherever orders or money move.
    ``wants`` names one further value that the choice needs, ``wants_label`` asks for it. ``closes`` False: it is
    carried out, and the question stays.
    """

    name: str
    label: str
    effect: str
    needs_second: bool = True
    wants: str = ""
    wants_label: str = ""
    closes: bool = True

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a second person agrees to, whole: the question, the evidence it was put with, and the answer."""

    kind: str
    subject: str
    evidence: Mapping[str, Any]
    choice: str
    value: str
    reason: str
    proposed_by: str
    proposed_at: datetime

    @property
    def digest(self) -> str:
        """A name that no other content has: whoever confirms says by it what was in front of them."""
        text = json.dumps({**asdict(self), "proposed_at": self.proposed_at.isoformat()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
