"""A broker in memory, a kind of job that records, and the shortest way to run what is due."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings
from brokers.core.capabilities import Capabilities
from brokers.core.orders import OrderClass, OrderTerms, Side
from brokers.core.reports import (
    AccountReport,
    CashReport,
    FillPage,
    FillReport,
    InstrumentReport,
    OrderPage,
    OrderReport,
    PositionReport,
    ReportedStatus,
    StreamEvent,
)
from reliability.core.correlation import set_correlation_id
from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed
from reliability.core.retry import RetryPolicy
from reliability.core.taxonomy import FailureKind
from reliability.models import Job
from reliability.services.circuits.runtime import Runtime
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare, failure_disposition
from reliability.services.jobs.kinds import Call, JobKind, Prepared

NO_PULSE = 0
replaced_runtimes: list[Runtime] = []
"""Runtimes of circuits that a test put another in the place of; their threads end with the tests."""


def call_error(kind: FailureKind, code: str = "", *, retry_after: float | None = None) -> BrokerCallError:
    codes = {
        FailureKind.TRANSIENT: "NETWORK_CONNECT_REFUSED",
        FailureKind.THROTTLED: "RATE_LIMIT_EXCEEDED",
        FailureKind.REJECTED: "BROKER_INSUFFICIENT_FUNDS",
        FailureKind.AMBIGUOUS: "TIMEOUT_READ",
    }
    return BrokerCallError(kind, code or codes[kind], "as planned", "test", retry_after)


@dataclass(frozen=True)
class Trouble:
    """One call that fails; ``carried_out`` decides on which side of the effect."""

    error: Exception
    carried_out: bool = False


class FakeBroker:
    """A broker adapter and its session in one: orders by client id, each there once, and troubles to come."""

    name = "fake"

    def __init__(self, *, dedupes: bool = True, replaces: bool = True) -> None:
        self.capabilities = Capabilities(
            dedupes_client_order_id=dedupes,
            finds_by_client_order_id=True,
            streams_orders=True,
            lists_fills=True,
            settle_time=timedelta(seconds=5),
            replaces_orders=replaces,
            exit_classes=frozenset(OrderClass),
            cash_follows_fills=True,
            lists_cash_movements=True,
        )
        self.orders: dict[str, OrderReport] = {}
        self.fills: list[FillReport] = []
        self.positions: dict[str, PositionReport] = {}
        self.cash = Decimal(0)
        self.movements: list[CashReport] = []
        self.calls: list[str] = []
        self.canceled: list[str] = []
        self.legs: dict[str, list[str]] = {}
        self.names_exits_when_asked = False
        self.during: dict[str, Callable[[], None]] = {}
        self._troubles: dict[str, deque[Trouble]] = defaultdict(deque)

    def open_session(self, settings: AccountSettings) -> "FakeBroker":
        return self

    # -- the test's side ----------------------------------------------------------------

    def fail(self, operation: str, error: Exception, *, carried_out: bool = False, times: int = 1) -> None:
        self._troubles[operation].extend([Trouble(error, carried_out)] * times)

    def place(self, client_order_id: str, **values: Any) -> OrderReport:
        number = len(self.orders) + 1
        facts: dict[str, Any] = {
            "client_order_id": client_order_id,
            "broker_order_id": f"b-{number}",
            "status": ReportedStatus.WORKING,
            "symbol": "AAPL",
            "side": Side.BUY,
            "filled_quantity": Decimal(0),
            "quantity": Decimal(10),
        }
        report = OrderReport(**{**facts, **values})
        self.orders[client_order_id] = report
        return report

    def execute(self, client_order_id: str, quantity: int, price: int = 100, **values: Any) -> FillReport:
        """Fill a part of an order, or the rest of it, and return the execution."""
        order = self.orders[client_order_id]
        cumulative = order.filled_quantity + quantity
        is_done = order.quantity is not None and cumulative >= order.quantity
        status = ReportedStatus.FILLED if is_done else ReportedStatus.PARTIALLY_FILLED
        self.orders[client_order_id] = replace(order, filled_quantity=cumulative, status=status)
        facts: dict[str, Any] = {
            "execution_id": f"x-{len(self.fills) + 1}",
            "broker_order_id": order.broker_order_id,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": Decimal(quantity),
            "price": Decimal(price),
            "executed_at": datetime.now(UTC),
            "cumulative_quantity": cumulative,
            "cursor": f"c-{len(self.fills) + 1}",
        }
        fill = FillReport(**{**facts, **values})
        self.fills.append(fill)
        return fill

    # -- the session --------------------------------------------------------------------

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport:
        trouble = self._begin("submit")
        if client_order_id in self.orders:
            raise call_error(FailureKind.AMBIGUOUS, "BROKER_DUPLICATE_CLIENT_ORDER_ID")
        if trouble is None or trouble.carried_out:
            self.place(
                client_order_id,
                symbol=terms.symbol,
                side=terms.side,
                quantity=terms.quantity,
                notional=terms.notional,
                limit_price=terms.limit_price,
            )
            self._place_exits(client_order_id, terms)
        self._end("submit", trouble)
        return self._with_legs(self.orders[client_order_id])

    async def cancel_order(self, broker_order_id: str) -> None:
        trouble = self._begin("cancel")
        if trouble is None or trouble.carried_out:
            self.canceled.append(broker_order_id)
        self._end("cancel", trouble)

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        trouble = self._begin("replace")
        if client_order_id in self.orders:
            raise call_error(FailureKind.AMBIGUOUS, "BROKER_DUPLICATE_CLIENT_ORDER_ID")
        old = next(order for order in self.orders.values() if order.broker_order_id == broker_order_id)
        if old.status not in (ReportedStatus.WORKING, ReportedStatus.PARTIALLY_FILLED):
            raise call_error(FailureKind.REJECTED, "VALIDATION_ORDER_FINAL")
        if trouble is None or trouble.carried_out:
            price = terms.limit_price or old.limit_price
            new = self.place(
                client_order_id, symbol=old.symbol, side=old.side, quantity=terms.quantity, limit_price=price
            )
            self.orders[old.client_order_id] = replace(old, replace_pending=True, replaced_by=new.broker_order_id)
        self._end("replace", trouble)
        return self.orders[client_order_id]

    def settle_replacement(self, old_id: str, new_id: str) -> None:
        """Let the replacement take effect, or be rejected where the old order ended first."""
        old, new = self.orders[old_id], self.orders[new_id]
        if old.status in (ReportedStatus.WORKING, ReportedStatus.PARTIALLY_FILLED):
            self.orders[old_id] = replace(old, status=ReportedStatus.REPLACED, replace_pending=False)
        elif old.status is not ReportedStatus.REPLACED:
            self.orders[new_id] = replace(new, status=ReportedStatus.REJECTED)

    async def get_order(self, broker_order_id: str) -> OrderReport:
        self._end("get", self._begin("get"))
        for order in self.orders.values():
            if order.broker_order_id == broker_order_id:
                return self._with_legs(order)
        raise call_error(FailureKind.REJECTED, "BROKER_ORDER_NOT_FOUND")

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        self._end("find", self._begin("find"))
        found = self.orders.get(client_order_id)
        return self._with_legs(found) if found is not None and self.names_exits_when_asked else found

    async def list_open_orders(self) -> list[OrderReport]:
        self._end("open", self._begin("open"))
        open_ones = (ReportedStatus.WORKING, ReportedStatus.PARTIALLY_FILLED)
        return [order for order in self.orders.values() if order.status in open_ones]

    async def list_fills(self, cursor: str) -> FillPage:
        self._end("fills", self._begin("fills"))
        start = next((at + 1 for at, fill in enumerate(self.fills) if cursor and fill.cursor == cursor), 0)
        fills = tuple(self.fills[start:])
        return FillPage(fills, fills[-1].cursor if fills else cursor)

    async def page_open_orders(self, after: str) -> OrderPage:
        """List two orders a page, so that tests turn pages."""
        orders = await self.list_open_orders()
        start = next((at + 1 for at, order in enumerate(orders) if after and order.broker_order_id == after), 0)
        page = orders[start : start + 2]
        return OrderPage(tuple(page), page[-1].broker_order_id if start + 2 < len(orders) else "")

    async def page_fills(self, cursor: str) -> FillPage:
        page = await self.list_fills(cursor)
        fills = page.fills[:2]
        return FillPage(fills, fills[-1].cursor if fills else cursor, len(page.fills) <= 2)

    async def list_positions(self) -> list[PositionReport]:
        self._end("positions", self._begin("positions"))
        return list(self.positions.values())

    async def get_account(self) -> AccountReport:
        self._end("account", self._begin("account"))
        return AccountReport("fake", "USD", self.cash, self.cash, self.cash, False)

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        self._end("movements", self._begin("movements"))
        return [one for one in self.movements if one.day >= since]

    async def list_instruments(self) -> list[InstrumentReport]:
        self._end("instruments", self._begin("instruments"))
        return [InstrumentReport("AAPL", "Apple", True, True)]

    async def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        yield None

    async def close(self) -> None: ...

    def _place_exits(self, client_order_id: str, terms: OrderTerms) -> None:
        """Place the exits under names of the broker's own; only the entry, asked by the broker's id, tells them."""
        exits = terms.exits
        if exits is None:
            return
        side = Side.SELL if terms.side is Side.BUY else Side.BUY
        same = {"symbol": terms.symbol, "side": side, "quantity": terms.quantity}
        self.legs[client_order_id] = []
        for name, price, stop in (("tp", exits.take_profit, None), ("sl", exits.stop_loss_limit, exits.stop_loss)):
            if price is not None or stop is not None:
                named = f"{client_order_id[:30]}-{name}"
                self.place(named, limit_price=price, stop_price=stop, **same)
                self.legs[client_order_id].append(named)

    def _with_legs(self, order: OrderReport) -> OrderReport:
        names = self.legs.get(order.client_order_id)
        return order if names is None else replace(order, legs=tuple(self.orders[name] for name in names))

    def _begin(self, operation: str) -> Trouble | None:
        self.calls.append(operation)
        return self._troubles[operation].popleft() if self._troubles[operation] else None

    def _end(self, operation: str, trouble: Trouble | None) -> None:
        meanwhile = self.during.pop(operation, None)
        if meanwhile is not None:
            meanwhile()
        if trouble is not None:
            raise trouble.error


@dataclass
class Deed(JobKind):
    """A kind of job whose call does what the payload says: nothing, or raise, or a disposition of its own."""

    name: ClassVar[str] = "tests.deed"
    lane: ClassVar[str] = "default"
    retry: ClassVar[RetryPolicy] = RetryPolicy(
        max_attempts=3, delay_initial=timedelta(milliseconds=1), delay_max=timedelta(milliseconds=2)
    )
    timeout: ClassVar[timedelta] = timedelta(seconds=2)

    performed: list[int] = field(default_factory=list)
    applied: list[int] = field(default_factory=list)
    late: list[Any] = field(default_factory=list)
    discarded: list[tuple[int, str, str]] = field(default_factory=list)
    settle: dict[int, list[Disposition]] = field(default_factory=dict)
    poisoned: set[int] = field(default_factory=set)
    unpreparable: set[int] = field(default_factory=set)
    trouble: Exception = field(default_factory=lambda: RuntimeError("cannot be done"))
    hold: asyncio.Event | None = None
    held: int = 0

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        if self.unpreparable & {job.payload.get("n") for job in jobs}:
            raise self.trouble
        return {job.id: job.payload.get("n", 0) for job in jobs}

    async def perform(self, request: int) -> int:
        self.performed.append(request)
        if self.hold is not None:
            self.held += 1
            await self.hold.wait()
        return request

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        if self.poisoned & {outcome.request for outcome in outcomes}:
            raise self.trouble
        self.applied.extend(outcome.request for outcome in outcomes if outcome.error is None)
        return {outcome.job.id: self._disposition(outcome) for outcome in outcomes}

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        self.late.extend(outcome.request for outcome in outcomes)

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        self.discarded.append((job.id, actor, reason))

    def _disposition(self, outcome: Performed) -> Disposition:
        if outcome.error is not None:
            return failure_disposition(outcome)
        planned = self.settle.get(outcome.request)
        return planned.pop(0) if planned else Done()


async def _perform(call: Call) -> Performed:
    set_correlation_id(call.job.correlation_id)
    try:
        return Performed(call.job, call.request, await call.kind.perform(call.request))
    except Exception as error:
        return Performed(call.job, call.request, error=error)


def perform_calls(calls: Sequence[Call]) -> list[Performed]:
    """Make claimed calls as a pool process would, one loop for all."""

    async def together() -> list[Performed]:
        return list(await asyncio.gather(*(_perform(call) for call in calls)))

    return asyncio.run(together())


def run_due(lane: str, worker: int = NO_PULSE) -> int:
    """Run what is due in ``lane`` once, from claim to finish; returns how many jobs were claimed."""
    calls, claimed = claim_and_prepare(lane, worker, 100)
    if calls:
        apply_outcomes(perform_calls(calls))
    return claimed


def make_due(**where: Any) -> None:
    """Let the waits of ready jobs be over."""
    Job.objects.filter(state="ready", **where).update(run_at=datetime.now(UTC) - timedelta(seconds=1))
