"""Every known failure of every broker means what its source says it means."""

from collections import Counter

import pytest

from brokers.adapters.failure_rules import RESOLVERS
from reliability.services.classification import known_sources, preview
from tests.brokers.adapters.corpus_rows import JUDGED, judged, raw_failure, read_corpus

ROWS = list(read_corpus())


@pytest.mark.parametrize("source", RESOLVERS)
def test_the_corpus_is_classified_as_its_origins_say(source):
    wrong, misses = [], Counter()
    for row in (row for row in ROWS if row["source"] == source):
        raw = raw_failure(row)
        error = preview(raw)
        expected = tuple(row[column] for column in JUDGED)
        found = judged(error)
        if found != expected or error.guessed:
            misses.update(name for name, a, b in zip(JUDGED, found, expected, strict=True) if a != b)
            wrong.append(
                f"{raw.operation} {raw.raw_code} {raw.message[:60]!r} by {error.rule}\n"
                f"  found    {found}\n  expected {expected} as of {row['origin']}"
            )

    assert not wrong, f"{len(wrong)} rows differ, by column {dict(misses)}\n" + "\n".join(wrong)


def test_every_process_knows_the_sources():
    assert RESOLVERS.keys() <= known_sources()


def test_every_row_names_its_origin():
    assert [row for row in ROWS if len(row["origin"].strip()) < 5] == []


def test_every_source_is_represented():
    counts = Counter(row["source"] for row in ROWS)

    assert sum(counts.values()) >= 250
    assert {source: counts[source] for source in RESOLVERS if counts[source] < 15} == {}
    assert counts.keys() == RESOLVERS.keys()


def test_no_row_is_there_twice():
    keys = Counter(tuple(row[name] for name in ("source", "operation", "raw_code", "raw_message")) for row in ROWS)

    assert [key for key, count in keys.items() if count > 1] == []
