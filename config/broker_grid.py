"""The grid of brokers on the operator screen: circuits, errors, queue, reconciliation, sessions and market hours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from brokers.selectors.accounts import AccountStatus
from reconciliation.selectors.runs import Verdict
from reconciliation.services.market_data.market_hours import Market
from reliability.core.burn_rate import Counts
from reliability.services.circuit_board import CircuitView
from reliability.services.service_levels import CALLS, ServiceState
from reliability.views.charts import worst_burn

RATE_WINDOW, BURN_WINDOW = timedelta(minutes=5), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BrokerRow:
    """One broker. ``circuit`` is its worst, None before the first call; ``counts`` are the calls of five minutes.

    ``burn`` is the fastest of its services in an hour, None without calls; ``verdicts`` has an entry for each account,
    ``markets`` one for each trading calendar of its feeds.
    """

    name: str
    accounts: list[AccountStatus]
    circuit: CircuitView | None
    counts: Counts
    burn: float | None
    verdicts: list[tuple[str, Verdict | None]]
    markets: list[Market]

    @property
    def queued(self) -> int:
        """How many orders were accepted and not begun to be sent."""
        return sum(one.queued_orders for one in self.accounts)

    @property
    def oldest_queued_at(self) -> datetime | None:
        return min((one.oldest_queued_at for one in self.accounts if one.oldest_queued_at is not None), default=None)

    @property
    def is_bad(self) -> bool:
        """Calls are refused, or an order stream is closed."""
        is_refusing = self.circuit is not None and self.circuit.is_refusing
        return is_refusing or any(one.stream_state != "up" for one in self.accounts)


def broker_rows(
    accounts: Sequence[AccountStatus],
    circuits: Sequence[CircuitView],
    states: Sequence[ServiceState],
    verdicts: Mapping[str, Verdict],
    markets: Mapping[str, Sequence[Market]],
) -> list[BrokerRow]:
    """Return a row for each broker with an account, in trouble first; ``circuits`` come the worst first."""
    rows = []
    for name in sorted({one.broker for one in accounts}):
        own = [one for one in accounts if one.broker == name]
        calls = [one for one in states if one.sampled.subject == name and one.sampled.service in CALLS]
        good, bad = (sum(getattr(one.counts[RATE_WINDOW], verdict) for one in calls) for verdict in ("good", "bad"))
        circuit = next((one for one in circuits if one.name.split(":")[0] == name), None)
        ended = [(one.name, verdicts.get(one.name)) for one in own]
        hours = list({market.calendar: market for one in own for market in markets.get(one.name, ())}.values())
        rows.append(BrokerRow(name, own, circuit, Counts(good, bad), worst_burn(calls, BURN_WINDOW), ended, hours))
    return sorted(rows, key=lambda row: (not row.is_bad, row.name))
