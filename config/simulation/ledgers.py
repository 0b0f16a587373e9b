"""A broker's ledger beside ours, equal but for one difference, or equal in all but the writing."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from brokers.core.client_order_id import PREFIX
from brokers.core.orders import OrderState, Side
from brokers.core.records import RecordedFill, RecordedOrder, RecordedPosition
from brokers.core.reports import FillReport, OrderReport, PositionReport, ReportedStatus
from config.simulation.episodes import Episode, Finding, Scenario
from reconciliation.core.discrepancy import Difference, DiscrepancyKind
from reconciliation.core.matching import compare_fill, compare_position, match_orders

NOW = datetime(2026, 1, 5, 15, tzinfo=UTC)
SINCE = NOW - timedelta(seconds=5)
LONG_AGO = NOW - timedelta(hours=1)


@dataclass(slots=True)
class Books:
    """Both sides: what we recorded, and what the broker reports."""

    orders: list[RecordedOrder]
    reports: list[OrderReport]
    fills: list[tuple[RecordedFill | None, FillReport, bool]]
    positions: list[tuple[RecordedPosition | None, PositionReport | None]]


def _books(episode: Episode) -> Books:
    chance, books = episode.random, Books([], [], [], [])
    for number in range(chance.randint(3, 25)):
        side, quantity = chance.choice(tuple(Side)), Decimal(chance.randint(1, 500))
        filled = Decimal(chance.randint(0, int(quantity) - 1))
        price = Decimal(chance.randint(100, 90_000)) / 100
        state = OrderState.PARTIALLY_FILLED if filled else OrderState.WORKING
        ours = RecordedOrder(
            UUID(int=chance.getrandbits(128)),
            f"{PREFIX}{number}",
            f"b-{number}",
            f"S{number}",
            side,
            quantity,
            filled,
            price,
            state,
            LONG_AGO,
        )
        books.orders.append(ours)
        books.reports.append(
            OrderReport(
                ours.client_order_id,
                ours.broker_order_id,
                ReportedStatus(state.value),
                ours.symbol,
                side,
                filled,
                quantity,
                limit_price=price,
                reported_at=LONG_AGO,
            )
        )
        if filled:
            booked = RecordedFill(f"e-{number}", ours.broker_order_id, ours.symbol, side, filled, price, ours.id)
            told = FillReport(booked.execution_id, ours.broker_order_id, ours.symbol, side, filled, price, LONG_AGO)
            books.fills.append((booked, told, True))
            signed = filled if side is Side.BUY else -filled
            books.positions.append(
                (RecordedPosition(ours.symbol, signed, price, LONG_AGO), PositionReport(ours.symbol, signed, price))
            )
    return books  # fmt: skip


def _compare(books: Books) -> list[Difference]:
    found = list(match_orders(books.orders, books.reports, SINCE))
    for booked, told, is_ours in books.fills:
        found += compare_fill(booked, told, is_ours, SINCE)
    for ours, theirs in books.positions:
        found += compare_position(ours, theirs, SINCE)
    return found


Change = Callable[[Episode, Books, int], tuple[DiscrepancyKind, str]]


def _missing_there(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    return DiscrepancyKind.MISSING_THERE, books.reports.pop(at).broker_order_id


def _missing_here(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    return DiscrepancyKind.MISSING_HERE, books.orders.pop(at).broker_order_id


def _external(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    foreign = replace(books.reports[at], client_order_id="by-hand", broker_order_id="b-foreign")
    books.reports.append(foreign)
    return DiscrepancyKind.EXTERNAL, "b-foreign"


def _quantity(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    more = books.reports[at].filled_quantity + episode.random.choice((1, -1)) * Decimal("0.5")
    books.reports[at] = replace(books.reports[at], filled_quantity=more)
    return DiscrepancyKind.QUANTITY, books.reports[at].broker_order_id


def _price(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    books.reports[at] = replace(
        books.reports[at], limit_price=(books.reports[at].limit_price or Decimal(0)) + Decimal("0.01")
    )
    return DiscrepancyKind.PRICE, books.reports[at].broker_order_id


def _state(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    ended = episode.random.choice((ReportedStatus.CANCELED, ReportedStatus.EXPIRED, ReportedStatus.REJECTED))
    books.reports[at] = replace(books.reports[at], status=ended)
    return DiscrepancyKind.STATE, books.reports[at].broker_order_id


def _unknown_fill(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    report = books.reports[at]
    told = FillReport("e-new", report.broker_order_id, report.symbol, report.side, Decimal(1), Decimal(10), LONG_AGO)
    books.fills.append((None, told, True))
    return DiscrepancyKind.UNKNOWN_FILL, "e-new"


def _fill_price(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    booked, told, is_ours = _some_fill(books, at)
    books.fills.append((booked, replace(told, price=told.price + Decimal("0.01")), is_ours))
    return DiscrepancyKind.PRICE, told.execution_id


def _some_fill(books: Books, at: int) -> tuple[RecordedFill, FillReport, bool]:
    order = books.orders[at]
    booked = RecordedFill("e-more", order.broker_order_id, order.symbol, order.side, Decimal(2), Decimal(10), order.id)
    return (
        booked,
        FillReport("e-more", order.broker_order_id, order.symbol, order.side, Decimal(2), Decimal(10), LONG_AGO),
        True,
    )


def _position(episode: Episode, books: Books, at: int) -> tuple[DiscrepancyKind, str]:
    theirs = PositionReport("P", Decimal(episode.random.randint(1, 99)), Decimal(10))
    ours = RecordedPosition("P", theirs.quantity + 1, Decimal(10), LONG_AGO)
    pair = episode.random.choice(((ours, theirs), (None, theirs), (ours, None)))
    books.positions.append(pair)
    return DiscrepancyKind.POSITION, "P"


CHANGES: tuple[Change, ...] = (
    *(_missing_there, _missing_here, _external, _quantity, _price, _state, _unknown_fill, _fill_price, _position),
)


def _rewrite(episode: Episode, books: Books) -> None:
    """Change only how things are written, and what happens right now, which the other side may not have heard of."""
    chance = episode.random
    books.reports = [
        replace(
            one,
            filled_quantity=one.filled_quantity.quantize(Decimal("1.0000")),
            client_order_id=chance.choice(("", one.client_order_id)),
        )
        for one in books.reports
    ]
    chance.shuffle(books.reports)
    books.reports += chance.sample(books.reports, 1)  # a page that overlaps the one before
    books.positions = [
        (ours, theirs and replace(theirs, average_price=theirs.average_price * Decimal("1.00005")))
        for ours, theirs in books.positions
    ]
    books.positions.append((None, PositionReport("FLAT", Decimal(0), Decimal(0))))
    fresh = chance.randrange(len(books.orders))
    books.orders[fresh] = replace(
        books.orders[fresh], changed_at=NOW, filled_quantity=books.orders[fresh].filled_quantity + Decimal("0.25")
    )


def play_differ(episode: Episode) -> tuple[Finding, str]:
    """One thing differs between the ledgers; or nothing does but the writing, and what is on its way."""
    books, expected = _books(episode), ""
    if episode.is_fault:
        kind, subject = episode.random.choice(CHANGES)(episode, books, episode.random.randrange(len(books.orders)))
        expected = f"{kind} {subject}"
    else:
        _rewrite(episode, books)
    episode.note(0, f"truth: {expected or 'equal, but for what is on its way'}; {len(books.orders)} orders")
    found = [] if episode.is_blind else _compare(books)
    for one in found:
        episode.note(
            0, f"{one.kind} {one.subject}{' in flight' if one.is_in_flight else ''}: {one.recorded} / {one.reported}"
        )
    verdicts = found if episode.is_eager else [one for one in found if not one.is_in_flight]
    seen = ", ".join(sorted(f"{one.kind} {one.subject}" for one in verdicts))
    return Finding(seen), expected


LEDGER_SCENARIOS = (
    Scenario(
        "ledgers.differ",
        "ledger difference",
        "one difference is found, named and placed; rounding is none",
        play_differ,
    ),
)
