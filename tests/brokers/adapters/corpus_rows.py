"""The corpus of failures: what each source really says, what it has to mean, and where that is documented."""

import csv
from collections.abc import Iterator
from pathlib import Path

from reliability.core.classification import ClassifiedError, Operation, RawFailure
from reliability.core.rules import Proof, Verdict

CORPUS = Path(__file__).parent / "corpus"
EFFECTFUL = frozenset({Operation.SUBMIT, Operation.CANCEL, Operation.MODIFY})
JUDGED = ("code", "category", "retryable", "ambiguous", "strategy")


def read_corpus() -> Iterator[dict[str, str]]:
    """Yield every row of every file, with its column names."""
    for path in sorted(CORPUS.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as lines:
            yield from csv.DictReader(lines)


def raw_failure(row: dict[str, str]) -> RawFailure:
    return RawFailure(row["source"], Operation(row["operation"]), row["raw_code"], row["raw_message"])


def is_ambiguous(verdict: Verdict, operation: Operation) -> bool:
    """Return whether a verdict leaves open what an operation with an effect has done."""
    return verdict.proof in (Proof.UNPROVEN, Proof.EXISTS) and operation in EFFECTFUL


def judged(error: ClassifiedError) -> tuple[str, ...]:
    """Return the judged columns as the corpus writes them."""
    return (
        error.code,
        error.category.value,
        str(error.retryable).lower(),
        str(error.ambiguous).lower(),
        error.strategy.value,
    )
