"""Writing what is about to be dropped to a file, and reading it back before anybody believes in it."""

import gzip
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from django.db import connection

from reliability.core.retention import Piece
from reliability.models import RetentionDrop
from reliability.services.retention.keepers import Keeper

_BLOCK = 1 << 20


class ExportError(Exception):
    """A piece could not be exported; it stays."""


@dataclass(frozen=True, slots=True)
class Export:
    """A finished file: CSV with a header line, compressed; beside it a file of the same name says what it holds."""

    path: Path
    rows: int
    sha256: str


def export_piece(keeper: Keeper, piece: Piece, directory: Path) -> Export:
    """Write a piece to ``directory``; it is complete, on the disk and readable once this returns.

    A file whose rows were dropped is never written again: what comes for the same time later has a file of its own.

    Raises:
        ExportError: it cannot be written, or does not read back as it was written.
    """
    folder = directory / keeper.kind
    stem = _free_stem(keeper, piece)
    path = folder / f"{stem}.csv.gz"
    half = folder / f".{stem}.csv.gz.part"
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        rows, size = _write(keeper, piece, half)
        sha256 = _check(half, size)
        half.replace(path)
        _describe(keeper, piece, Export(path, rows, sha256), folder / f"{stem}.json")
        _flush(folder)
    except OSError as error:
        raise ExportError(f"{piece.name} cannot be exported: {error}") from error
    return Export(path, rows, sha256)


def _free_stem(keeper: Keeper, piece: Piece) -> str:
    """Return the first of ``piece``, ``piece.2``, ``piece.3`` ... that no drop says its rows are in.

    The directory may have moved since, so only the end of the path counts.
    """
    dropped = RetentionDrop.objects.filter(kind=keeper.kind, piece=piece.name)
    stem, number = piece.name, 1
    while dropped.filter(exported_to__endswith=f"/{keeper.kind}/{stem}.csv.gz").exists():
        number += 1
        stem = f"{piece.name}.{number}"
    return stem


def _write(keeper: Keeper, piece: Piece, path: Path) -> tuple[int, int]:
    """Return how many rows and how many bytes of text were written."""
    size = 0
    with (
        path.open("wb") as file,
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=5, mtime=0) as packed,
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        psycopg.Cursor(cursor.connection) as copying,
    ):
        query = psycopg.sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)").format(keeper.rows_of(piece))
        with copying.copy(query) as lines:
            for block in lines:
                packed.write(block)
                size += len(block)
        rows = copying.rowcount
    _flush(path)
    return rows, size


def _check(path: Path, size: int) -> str:
    """Read the file back to its end, its checksums too; returns its SHA-256."""
    with gzip.open(path) as packed:
        found = sum(len(block) for block in iter(lambda: packed.read(_BLOCK), b""))
    if found != size:
        raise ExportError(f"{path.name} reads back as {found} bytes, {size} were written")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _describe(keeper: Keeper, piece: Piece, export: Export, path: Path) -> None:
    facts = {
        "kind": keeper.kind,
        "table": keeper.table,
        "piece": piece.name,
        "starts_at": piece.starts_at.isoformat(),
        "ends_at": piece.ends_at.isoformat(),
        "rows": export.rows,
        "sha256": export.sha256,
        "exported_at": datetime.now(UTC).isoformat(),
    }
    path.write_text(json.dumps(facts, indent=1) + "\n")
    _flush(path)


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
