"""Read bars out of CSV and Parquet files, row by row, with the place of each row for messages."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciliation.core.bars import FIELDS
from reliability.core.errors import ReliabilityError

COLUMNS = ("timestamp", *FIELDS)
_PARQUET_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class FileRow:
    """One row as it is in the file: ``place`` says where, such as ``line 7``; ``problem`` why it cannot be read."""

    place: str
    fields: Mapping[str, Any]
    problem: str = ""


def read_rows(path: Path) -> Iterator[FileRow]:
    """Yield the rows of a ``.csv`` or ``.parquet`` file, in its order. Names of columns are taken in any case.

    Raises:
        ReliabilityError: the file cannot be read, is of another kind, or lacks a column.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".csv":
            yield from _csv_rows(path)
        elif kind in (".parquet", ".pq"):
            yield from _parquet_rows(path)
        else:
            raise _unusable(f"{path.name} is neither .csv nor .parquet.")
    except OSError as error:
        raise _unusable(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise _unusable(f"{path.name} is not text in UTF-8.") from error


def _csv_rows(path: Path) -> Iterator[FileRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        names = _checked(path, header)
        while True:
            line = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield FileRow(f"line {line}", {}, f"not readable as CSV: {error}")
                continue
            if not values:
                continue
            if len(values) != len(header):
                yield FileRow(f"line {line}", {}, f"has {len(values)} fields, the header has {len(header)}")
                continue
            yield FileRow(f"line {line}", {name: values[index] for name, index in names.items()})


def _parquet_rows(path: Path) -> Iterator[FileRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise _unusable(f"{path.name} is not a Parquet file: {error}.") from error
    names = _checked(path, file.schema_arrow.names)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
            columns = {name: _plain(batch.column(index), pyarrow) for name, index in names.items()}
            for place in range(batch.num_rows):
                number += 1
                yield FileRow(f"row {number}", {name: values[place] for name, values in columns.items()})
    except pyarrow.ArrowInvalid as error:
        raise _unusable(f"{path.name} cannot be read after row {number}: {error}.") from error


def _plain(column: Any, pyarrow: Any) -> list[Any]:
    """Return a column as Python values; instants in whole microseconds, because Python has no nanoseconds."""
    if pyarrow.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pyarrow.timestamp("us", tz=column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _checked(path: Path, header: list[str]) -> dict[str, int]:
    """Return the place of each column that is needed."""
    places: dict[str, int] = {}
    for index, name in enumerate(header):
        places.setdefault(name.strip().lower(), index)
    missing = [name for name in COLUMNS if name not in places]
    if missing:
        raise _unusable(f"{path.name} has no column {', '.join(missing)}; needed are {', '.join(COLUMNS)}.")
    return {name: places[name] for name in COLUMNS}


def _unusable(message: str) -> ReliabilityError:
    return ReliabilityError("VALIDATION_INVALID_REQUEST", message)
