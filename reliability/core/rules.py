"""Rules of classification: what a source's failures mean, as tables that adapters contribute."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

from reliability.core.classification import Operation, RawFailure
from reliability.core.taxonomy import ErrorSeverity, RecoveryStrategy


class Proof(StrEnum):
    """What a failure proves about the effect of the operation.

    ``NOT_SENT``: it never left us, or provably never arrived. ``REFUSED``: the other side provably
    did not carry it out. ``EXISTS``: what was asked for may be there already. ``UNPROVEN``: anything
    may have happened, so an operation with an effect is ambiguous. When in doubt, unproven.
    """

    NOT_SENT = "not_sent"
    REFUSED = "refused"
    EXISTS = "exists"
    UNPROVEN = "unproven"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A code of the catalogue and what is proven; None leaves a value to the catalogue and the operation."""

    code: str
    proof: Proof
    retryable: bool | None = None
    severity: ErrorSeverity | None = None
    strategy: RecoveryStrategy | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of a source's table; the first row that fits decides, so narrower rows stand above wider ones.

    ``raw_codes`` are exact codes (compared without regard to case), empty for any; ``message`` is
    searched in the lower-cased message; ``operations`` empty for any. ``origin`` says where the fact
    is documented, for a person who doubts it.
    """

    source: str
    verdict: Verdict
    raw_codes: Collection[str] = ()
    message: re.Pattern[str] | None = None
    operations: Collection[Operation] = ()
    origin: str = field(default="", compare=False)


Resolver = Callable[[RawFailure], Verdict | None]
"""Decides the failures of one source where a table cannot; None when it does not know the failure."""
