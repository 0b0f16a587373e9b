"""The symbols that can be traded on the simulated broker."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from uuid import NAMESPACE_URL, uuid5


@dataclass(frozen=True)
class Instrument:
    symbol: str
    name: str
    exchange: str
    base_price: Decimal
    asset_class: str = "us_equity"
    price_increment: Decimal = Decimal("0.01")

    @cached_property
    def id(self) -> str:
        return str(uuid5(NAMESPACE_URL, f"stanchion-simulator/{self.symbol}"))

    @property
    def is_crypto(self) -> bool:
        return self.asset_class == "crypto"


CATALOGUE: dict[str, Instrument] = {
    instrument.symbol: instrument
    for instrument in (
        Instrument("AAPL", "Apple Inc. Common Stock", "NASDAQ", Decimal("227.50")),
        Instrument("AMZN", "Amazon.com Inc. Common Stock", "NASDAQ", Decimal("201.10")),
        Instrument("AMD", "Advanced Micro Devices Common Stock", "NASDAQ", Decimal("141.25")),
        Instrument("GOOGL", "Alphabet Inc. Class A", "NASDAQ", Decimal("172.40")),
        Instrument("JPM", "JPMorgan Chase & Co. Common Stock", "NYSE", Decimal("243.80")),
        Instrument("KO", "Coca-Cola Company Common Stock", "NYSE", Decimal("63.15")),
        Instrument("META", "Meta Platforms Inc. Class A", "NASDAQ", Decimal("561.00")),
        Instrument("MSFT", "Microsoft Corporation Common Stock", "NASDAQ", Decimal("417.00")),
        Instrument("NVDA", "NVIDIA Corporation Common Stock", "NASDAQ", Decimal("136.05")),
        Instrument("SPY", "SPDR S&P 500 ETF Trust", "ARCA", Decimal("595.50")),
        Instrument("TSLA", "Tesla Inc. Common Stock", "NASDAQ", Decimal("352.60")),
        Instrument("BTC/USD", "Bitcoin / US Dollar", "CRYPTO", Decimal("97500.00"), "crypto"),
        Instrument("ETH/USD", "Ethereum / US Dollar", "CRYPTO", Decimal("3350.00"), "crypto"),
    )
}


def choose_instruments(symbols: list[str] | None) -> dict[str, Instrument]:
    """Return the catalogue, or the part of it named in ``symbols``; an unlisted symbol becomes a 100-dollar equity."""
    if symbols is None:
        return dict(CATALOGUE)
    return {
        symbol: CATALOGUE.get(symbol) or Instrument(symbol, f"{symbol} Common Stock", "NASDAQ", Decimal(100))
        for symbol in symbols
    }
