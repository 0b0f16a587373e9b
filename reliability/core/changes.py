"""A change that takes two persons: what one proposes, and what another agrees to, bound to its content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

PROPOSAL_LASTS = timedelta(hours=1)


class ChangeState(StrEnum):
    """Proposed: waits for a second person. The others are final; replaced: the same was proposed anew."""

    PROPOSED = "proposed"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class ChangeProposal:
    """What the second person agrees to, whole. ``secret_digest`` is the SHA-256 of what is kept encrypted beside it."""

    kind: str
    subject: str
    content: Mapping[str, Any]
    secret_digest: str
    reason: str
    proposed_by: str
    proposed_at: datetime

    @property
    def digest(self) -> str:
        """A name that no other content has: whoever confirms says by it what was in front of them."""
        text = json.dumps({**asdict(self), "proposed_at": self.proposed_at.isoformat()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]
