"""The corpus of failures: what each source really says, what it has to mean, and where that is documented."""

import csv
from collections.abc import Iterator
from pathlib import Path

from reliability.core.catalog import get_definition
from reliability.core.classification import Operation, RawFailure
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


def judged(verdict: Verdict, operation: Operation) -> tuple[str, ...]:
    """Return the judged columns as the corpus writes them."""
    definition = get_definition(verdict.code)
    retryable = definition.retryable if verdict.retryable is None else verdict.retryable
    return (
        verdict.code,
        definition.category.value,
        str(retryable).lower(),
        str(is_ambiguous(verdict, operation)).lower(),
        (verdict.strategy or definition.strategy).value,
    )
