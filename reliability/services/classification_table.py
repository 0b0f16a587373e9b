"""Classify many raw failures, given and answered as CSV."""

import csv
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import TextIO, cast

from reliability.core.classification import Operation, RawFailure
from reliability.core.classification_facts import CSV_INPUT, CSV_RESULT, csv_result
from reliability.services.classification import preview

_IN_MEMORY = 32 * 1024 * 1024
_OPERATIONS: Mapping[str, Operation] = {operation.value: operation for operation in Operation}


class BadTableError(ValueError):
    """The table cannot be read: one line that says why and in which row."""


def classify_table(lines: Iterable[str], output: TextIO) -> int:
    """Read CSV from ``lines``, write it with the classifications to ``output``, and return the number of rows.

    The header names ``source``, ``operation``, ``raw_code`` and ``raw_message`` in any order; the two raw
    columns may be missing or end early, others are left out. Rows are answered in their order, and all or
    none of them: what is written is kept aside until the whole table was understood.

    Raises:
        BadTableError: no such header, an unknown operation, more values than columns, or text that is no CSV.
    """
    count = 0
    with tempfile.SpooledTemporaryFile(
        _IN_MEMORY, "w+", encoding="utf-8", errors="surrogateescape", newline=""
    ) as answers:
        writer = _Writer(cast(TextIO, answers))
        writer.write((*CSV_INPUT, *CSV_RESULT))
        for raw in _read(lines):
            given = (raw.source, raw.operation.value, raw.raw_code, raw.message)
            writer.write((*given, *csv_result(preview(raw))))
            count += 1
        answers.seek(0)
        while chunk := answers.read(1024 * 1024):
            output.write(chunk)
    return count


class _Writer:
    """Lines end with a plain newline, so that a carriage return inside a value has to be quoted by hand."""

    def __init__(self, output: TextIO) -> None:
        self._plain = csv.writer(output, lineterminator="\n")
        self._quoting = csv.writer(output, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def write(self, row: tuple[str, ...]) -> None:
        writer = self._quoting if any("\r" in value for value in row) else self._plain
        writer.writerow(row)


def _read(lines: Iterable[str]) -> Iterator[RawFailure]:
    csv.field_size_limit(sys.maxsize)
    rows = csv.reader(lines, strict=True)
    number = 0
    try:
        columns = _columns(next(rows, []))
        for row in rows:
            if row:
                number += 1
                yield _raw_failure(row, columns, f"row {number} (line {rows.line_num})")
    except csv.Error as error:
        raise BadTableError(f"row {number + 1} (line {rows.line_num}): this is not CSV: {error}") from error


def _columns(header: list[str]) -> dict[str, int]:
    names = [name.strip().lower().removeprefix("\ufeff") for name in header]
    for name in ("source", "operation"):
        if name not in names:
            raise BadTableError(f"the first line must name the columns {','.join(CSV_INPUT)}; {name} is missing")
    repeated = [name for name in CSV_INPUT if names.count(name) > 1]
    if repeated:
        raise BadTableError(f"the first line names the column {repeated[0]} twice")
    return {name: place for place, name in enumerate(names)}


def _raw_failure(row: list[str], columns: Mapping[str, int], place: str) -> RawFailure:
    if len(row) > len(columns):
        raise BadTableError(f"{place}: {len(row)} values for {len(columns)} columns")

    def value(name: str) -> str:
        column = columns.get(name, len(row))
        return row[column] if column < len(row) else ""

    operation = _OPERATIONS.get(value("operation").strip().lower())
    if operation is None:
        named = value("operation").strip()[:40]
        raise BadTableError(f"{place}: operation {named!r} is none of {', '.join(_OPERATIONS)}")
    return RawFailure(value("source").strip(), operation, value("raw_code"), value("raw_message"))
