"""What can be dropped and how: a table in partitions, or the rows of a day of an ordinary one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

from django.db import OperationalError, connection, transaction
from psycopg import sql
from psycopg.errors import LockNotAvailable

from reliability.core.retention import Piece

_PARTITIONS = """
SELECT child.relname,
       (regexp_match(bound, $$FROM \\('([^']+)'\\)$$))[1]::timestamptz,
       (regexp_match(bound, $$TO \\('([^']+)'\\)$$))[1]::timestamptz
FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid, pg_get_expr(child.relpartbound, child.oid) AS bound
WHERE inhparent = %s::regclass AND bound <> 'DEFAULT'
"""


PATIENCE_SECONDS = 2.0  # others may be at a table for this long before a drop is put off
_PAUSE_SECONDS = 0.01
_COUNT_OF_SPAN = 10_000
Span = tuple[str, str | None]  # places in a table: from one up to, not including, the other (None: up to its end)


class ChangedPieceError(Exception):
    """A piece has other rows than were exported; it stays, and is exported anew."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """One kind of rows. ``keep_days`` and ``is_exported`` hold until somebody changes the policy.

    ``make_ahead`` makes what coming rows need and returns the names of what it made.
    """

    kind: str
    description: str
    table: str
    keep_days: int | None
    is_exported: bool

    def make_ahead(self, now: datetime) -> list[str]:
        return []

    def list_pieces(self, before: datetime) -> list[Piece]:
        """Return the pieces that ended before then."""
        raise NotImplementedError

    def rows_of(self, piece: Piece) -> sql.Composed:
        """Return the query of a piece's rows."""
        raise NotImplementedError

    def split(self, piece: Piece) -> list[Span | None]:
        """Return the spans to drop a piece in, each in a transaction of its own; None is the whole piece."""
        return [None]

    def drop(self, piece: Piece, expected: int | None, span: Span | None = None) -> int:
        """Drop a piece, or what a span has of it, in the caller's transaction and return how many rows went.

        Raises:
            ChangedPieceError: it has not ``expected`` rows (None: any number).
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class PartitionKeeper(Keeper):
    """A table partitioned by time: a piece is a partition, and dropping it costs the same whatever is in it."""

    ahead: Callable[[datetime], list[str]] | None = None

    def make_ahead(self, now: datetime) -> list[str]:
        return self.ahead(now) if self.ahead is not None else []

    def list_pieces(self, before: datetime) -> list[Piece]:
        with connection.cursor() as cursor:
            cursor.execute(_PARTITIONS, [self.table])
            return [Piece(*row) for row in cursor.fetchall() if row[2] <= before]

    def rows_of(self, piece: Piece) -> sql.Composed:
        return sql.SQL("SELECT * FROM {}").format(sql.Identifier(piece.name))

    def drop(self, piece: Piece, expected: int | None, span: Span | None = None) -> int:
        name = sql.Identifier(piece.name)
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(name))  # nobody adds a row any more
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(name))
            rows = int(cursor.fetchone()[0])
            _compare(piece, rows, expected)
            _lock_out_others(self.table)
            cursor.execute(sql.SQL("DROP TABLE {}").format(name))
        return rows


@dataclass(frozen=True, slots=True)
class RowKeeper(Keeper):
    """An ordinary table: a piece is what a day of ``time`` has of the rows that ``condition`` lets go."""

    time: str = "created_at"
    condition: str = "true"

    def list_pieces(self, before: datetime) -> list[Piece]:
        day = sql.SQL("date_trunc('day', {} AT TIME ZONE 'UTC')").format(sql.Identifier(self.time))
        query = sql.SQL("SELECT DISTINCT {} FROM {} one WHERE {} AND {} < %s").format(
            day, sql.Identifier(self.table), sql.SQL(self.condition), sql.Identifier(self.time)
        )
        with connection.cursor() as cursor:
            cursor.execute(query, [before])
            days = [row[0].replace(tzinfo=UTC) for row in cursor.fetchall()]
        pieces = [Piece(f"{self.table}_{day:%Y%m%d}", day, day + timedelta(days=1)) for day in days]
        return [piece for piece in pieces if piece.ends_at <= before]

    def rows_of(self, piece: Piece) -> sql.Composed:
        return sql.SQL("SELECT one.* ") + self._from(piece)

    def split(self, piece: Piece) -> list[Span | None]:
        """Return spans of some ten thousand rows: a day has millions, and nobody waits for all of them to go."""
        query = sql.SQL(
            "SELECT place::text FROM"
            " (SELECT one.ctid AS place, row_number() OVER (ORDER BY one.ctid) AS number {}) found"
            " WHERE number > 1 AND (number - 1) %% {} = 0 ORDER BY number"
        ).format(self._from(piece), _COUNT_OF_SPAN)
        with connection.cursor() as cursor:
            cursor.execute(query, [])
            places = ["(0,0)", *(row[0] for row in cursor.fetchall())]
        return list(zip(places, [*places[1:], None], strict=True))

    def drop(self, piece: Piece, expected: int | None, span: Span | None = None) -> int:
        query = sql.SQL("DELETE ") + self._from(piece)
        if span is not None:  # a row that moved since is asked again whether it is of the piece
            query += sql.SQL(" AND one.ctid >= {}::tid").format(span[0])
            query += sql.SQL("") if span[1] is None else sql.SQL(" AND one.ctid < {}::tid").format(span[1])
        with connection.cursor() as cursor:
            cursor.execute(query)
            rows = int(cursor.rowcount)
        _compare(piece, rows, expected)
        return rows

    def _from(self, piece: Piece) -> sql.Composed:
        time = sql.Identifier(self.time)
        return sql.SQL("FROM {} one WHERE {} AND {} >= {} AND {} < {}").format(
            sql.Identifier(self.table), sql.SQL(self.condition), time, piece.starts_at, time, piece.ends_at
        )


def _lock_out_others(table: str) -> None:
    """Have a partitioned table alone, in the caller's transaction, without ever waiting for it.

    The caller has a partition already, and whoever adds a row to that has the table and waits for the partition. If
    the caller waited for the table too, both would, and the other might be the one that is given up.

    Raises:
        OperationalError: others were always at it.
    """
    until = monotonic() + PATIENCE_SECONDS
    query = sql.SQL("LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE NOWAIT").format(sql.Identifier(table))
    while True:
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(query)
            return
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable) or monotonic() >= until:
                raise
        sleep(_PAUSE_SECONDS)


def _compare(piece: Piece, rows: int, expected: int | None) -> None:
    if expected is not None and rows != expected:
        raise ChangedPieceError(f"{piece.name} has {rows} rows and {expected} were exported")


_KEEPERS: dict[str, Keeper] = {}


def register_keeper(keeper: Keeper) -> None:
    """Have rows of a kind kept and dropped by its policy; call it once, as the app starts."""
    _KEEPERS[keeper.kind] = keeper


def list_keepers() -> list[Keeper]:
    return list(_KEEPERS.values())


def find_keeper(kind: str) -> Keeper | None:
    return _KEEPERS.get(kind)
