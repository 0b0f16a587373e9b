"""What all sessions of this process with one exchange share: its markets, and how far its clock is from ours.

A list of markets is megabytes and the same for every account, so it is fetched once, and again
whenever the list of instruments is refreshed; no call fetches it by itself.
"""

from dataclasses import dataclass, field
from typing import Any

_MARKET_ATTRIBUTES = (
    "markets",
    "markets_by_id",
    "symbols",
    "ids",
    "currencies",
    "currencies_by_id",
    "baseCurrencies",
    "quoteCurrencies",
    "codes",
)


@dataclass(slots=True)
class Venue:
    """One exchange at one address.

    ``edition`` counts the lists of markets that were fetched, 0 before the first. ``clock_offset_ms``
    is our time less the exchange's; ``clock_in_doubt`` asks for it to be measured before the next call.
    """

    edition: int = 0
    clock_offset_ms: int = 0
    clock_in_doubt: bool = True
    _markets: dict[str, Any] = field(default_factory=dict, repr=False)

    def keep_markets(self, exchange: Any) -> None:
        """Take over the markets that ``exchange`` has loaded."""
        self._markets = {name: getattr(exchange, name) for name in _MARKET_ATTRIBUTES}
        helpers = exchange.options.get("marketHelperProps") or []
        self._markets["options"] = {name: exchange.options.get(name) for name in helpers}
        self.edition += 1

    def lend_markets(self, exchange: Any) -> None:
        """Let ``exchange`` use the markets that were kept; they are read and never changed."""
        for name in _MARKET_ATTRIBUTES:
            setattr(exchange, name, self._markets[name])
        exchange.options.update(self._markets["options"])


_venues: dict[tuple[str, str], Venue] = {}


def venue_of(exchange_id: str, address: str) -> Venue:
    """Return what is known of one exchange at one address, the same object in the whole process."""
    return _venues.setdefault((exchange_id, address), Venue())
