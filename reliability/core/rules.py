"""Rules of classification: what a source's failures mean, as tables that adapters contribute."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from reliability.core.classification import Operation, RawFailure
from reliability.core.classification import Proof as Proof
from reliability.core.taxonomy import ErrorSeverity, RecoveryStrategy


@dataclass(frozen=True, slots=True)
class Verdict:
    """A code of the catalogue and what is proven; None leaves a value to the catalogue and the operation.

    ``vague``: the failure's outer shape says little, so that a wrapped cause decides where there is one.
    ``unexplained``: the shape of the answer decided alone, because nobody knows its words: for people to look at.
    """

    code: str
    proof: Proof
    retryable: bool | None = None
    severity: ErrorSeverity | None = None
    strategy: RecoveryStrategy | None = None
    vague: bool = False
    unexplained: bool = field(default=False, compare=False)


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

    @property
    def name(self) -> str:
        """Return what a person recognizes the rule by: source, codes and pattern."""
        codes = "|".join(sorted(self.raw_codes)) or "any code"
        pattern = f" ~ {self.message.pattern}" if self.message else ""
        return f"{self.source}: {codes}{pattern}"


Resolver = Callable[[RawFailure], Verdict | None]
"""Decides the failures of one source where a table cannot; None when it does not know the failure."""
