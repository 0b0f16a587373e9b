"""The running simulated broker: venue, ledger, faults and streams put together."""

import asyncio
import random
import time
from datetime import UTC, datetime
from decimal import Decimal
from hmac import compare_digest
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from brokers.simulator.account import Account
from brokers.simulator.book import Book
from brokers.simulator.data_stream import DataHub
from brokers.simulator.faults import Endpoint, Fault, FaultBoard, FaultKind, Operation
from brokers.simulator.ib.gateway import Gateway
from brokers.simulator.instruments import Instrument, choose_instruments
from brokers.simulator.ledger import LEDGER_NAME, read_records
from brokers.simulator.ledger_writer import LedgerWriter
from brokers.simulator.orders import Order
from brokers.simulator.prices import PriceWalk
from brokers.simulator.rate_window import RateWindow
from brokers.simulator.settings import Settings
from brokers.simulator.stream import StreamHub
from brokers.simulator.trading import run_tick
from brokers.simulator.venue import Event, Venue, VenueRules
from brokers.simulator.wire import Json, event_json, order_json

_WITHHOLD_FEES = frozenset({FaultKind.WITHHOLD_FEES})


class Broker:
    """Everything one simulator process holds. Lives on one event loop."""

    def __init__(self, settings: Settings, ledger: LedgerWriter) -> None:
        self.settings = settings
        self.ledger = ledger
        self.ledger_path = settings.data_dir / LEDGER_NAME
        self.instruments: dict[str, Instrument] = {}
        self.account_id = str(uuid5(NAMESPACE_URL, f"stanchion-simulator/account/{settings.name}"))
        self.started_at = time.monotonic()
        self.stopping = asyncio.Event()
        self.ports: dict[int, Endpoint] = {}
        self.conditions_changed = asyncio.Event()
        draws = random.Random(settings.seed)  # noqa: S311 -- reproducible, not secret
        self.faults = FaultBoard(time.monotonic, random.Random(settings.seed).random, self._fault_ended)  # noqa: S311
        self.streams = StreamHub(ledger, self.faults, draws.random)
        self.data = DataHub(settings.data_seed, self.faults, self.instruments)
        self.gateway = Gateway(self, settings.ib_account, settings.ib_master_client_id)
        self.venue = Venue(
            book=Book(Account(settings.cash, settings.multiplier)),
            instruments=self.instruments,
            walks={},
            rules=VenueRules(
                liquidity=settings.liquidity,
                partial_probability=settings.partial_probability,
                allow_short=settings.allow_short,
                dedupe=settings.dedupe,
                fee_rate=settings.fee_rate,
                fees_from_received=settings.fees_from_received,
            ),
            tells_fee=lambda: self.faults.strike(_WITHHOLD_FEES, Operation.ACCOUNT) is None,
            draws=draws,
            clock=lambda: datetime.now(UTC),
            write=ledger.append,
            publish=self._publish,
        )
        for instrument in choose_instruments(settings.symbols).values():
            self._offer(instrument.symbol)
        self.rate_window = RateWindow()
        self._request_count = 0

    def replay(self) -> None:
        """Rebuild the book from the ledger. A ledger keeps the starting cash it began with."""
        account = self.venue.book.account
        records = read_records(self.ledger_path) if self.ledger_path.exists() else ()
        for position, record in enumerate(records):
            if record["kind"] == "started" and position == 0:
                account.cash = Decimal(record["cash"])
            elif record["kind"] == "request":
                self._request_count = record["request_id"]
            elif record["kind"] == "accepted":
                self._offer(record["order"]["symbol"])
            self.venue.book.apply(record)
            if record["kind"] == "ib_order":
                self.gateway.replay(record)
        for symbol, price in self.venue.book.last_prices.items():
            self._offer(symbol)
            self.venue.walks[symbol].put(price, held=False)

    def start(self, process_id: int) -> None:
        settings = self.settings
        self.ledger.append(
            {
                "kind": "started",
                "name": settings.name,
                "seed": settings.seed,
                "cash": str(settings.cash),
                "dedupe": settings.dedupe,
                "process_id": process_id,
                "orders": len(self.venue.book.orders),
            }
        )
        self.apply_conditions()

    async def run_ticks(self) -> None:
        """Tick until the broker stops. A late tick is not made up for."""
        interval = self.settings.tick_ms / 1000
        while not self.stopping.is_set():
            await asyncio.sleep(interval)
            self.faults.expire()
            run_tick(self.venue)

    def next_request_id(self) -> int:
        self._request_count += 1
        return self._request_count

    def switch_on(self, fault: Fault) -> None:
        self.faults.add(fault)
        self.ledger.append({"kind": "fault_on", "fault": fault.summary(time.monotonic())})
        self.apply_conditions()

    def apply_conditions(self) -> None:
        """Bring the venue in line with the conditions that are switched on."""
        find = self.faults.find_active
        self.venue.is_open = not self.settings.market_closed and find(FaultKind.MARKET_CLOSED) is None
        self.venue.is_matching = find(FaultKind.PAUSE_MATCHING) is None
        self.venue.is_deduplicating = find(FaultKind.NO_DEDUPE) is None
        self.streams.apply_stalls()
        self.conditions_changed.set()
        unlinked = find(FaultKind.IB_LINK_DOWN)
        self.gateway.set_link(None if unlinked is None else bool(unlinked.parameters.get("data_lost", False)))

    def endpoint_of(self, request: web.Request) -> Endpoint:
        """Return where a request came in, by the port it was sent to."""
        address = request.transport.get_extra_info("sockname") if request.transport is not None else None
        return self.ports.get(address[1], Endpoint.PRIMARY) if address else Endpoint.PRIMARY

    def is_known_key(self, key: str, secret: str) -> bool:
        settings = self.settings
        if not settings.api_key:
            return bool(key and secret)
        return compare_digest(key.encode(), settings.api_key.encode()) and compare_digest(
            secret.encode(), settings.api_secret.encode()
        )

    def render(self, order: Order) -> Json:
        return order_json(order, self.instruments[order.symbol])

    def render_group(self, order: Order) -> Json:
        """Return an order with the legs that hang on it."""
        return order_json(order, self.instruments[order.symbol], self.venue.book.legs.get(order.id, ()))

    def _publish(self, event: Event) -> None:
        self.streams.publish(event)
        self.gateway.publish(event)

    def render_event(self, event: Event) -> Json:
        return event_json(event, self.instruments[event.order.symbol])

    def _offer(self, symbol: str) -> None:
        """Make a symbol tradable. A ledger may name one that the command line no longer does."""
        if symbol not in self.instruments:
            instrument = choose_instruments([symbol])[symbol]
            self.instruments[symbol] = instrument
            self.venue.walks[symbol] = PriceWalk(instrument, self.settings.seed, self.settings.volatility)

    def _fault_ended(self, fault: Fault, reason: str) -> None:
        self.ledger.append({"kind": "fault_off", "fault_id": fault.id, "hits": fault.hits, "reason": reason})
        self.apply_conditions()
