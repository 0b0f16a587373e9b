"""Cash, positions and what open orders hold of both."""

from dataclasses import dataclass, field
from decimal import Decimal

from brokers.simulator.orders import Fill, Order, Side, Status

ZERO = Decimal(0)


@dataclass(slots=True)
class Position:
    """A holding of one symbol; ``quantity`` is negative when short."""

    symbol: str
    quantity: Decimal = ZERO
    average_entry_price: Decimal = ZERO

    @property
    def cost_basis(self) -> Decimal:
        return self.quantity * self.average_entry_price

    def trade(self, signed_quantity: Decimal, price: Decimal) -> None:
        before, after = self.quantity, self.quantity + signed_quantity
        if before * signed_quantity >= 0:
            self.average_entry_price = (self.cost_basis + signed_quantity * price) / after
        elif before * after < 0:
            self.average_entry_price = price
        self.quantity = after


@dataclass(slots=True)
class Account:
    """The one account of the simulated broker.

    Buying power is ``multiplier`` times equity, less what is held at market and what open buy orders may cost.
    """

    cash: Decimal
    multiplier: Decimal = Decimal(1)
    positions: dict[str, Position] = field(default_factory=dict)
    reserved_cash: Decimal = ZERO
    held_quantities: dict[str, Decimal] = field(default_factory=dict)

    def book(self, fill: Fill) -> None:
        signed = fill.quantity if fill.side is Side.BUY else -fill.quantity
        self.cash -= signed * fill.price
        position = self.positions.setdefault(fill.symbol, Position(fill.symbol))
        position.trade(signed, fill.price)
        position.quantity -= fill.fee_of_position
        self.cash -= fill.fee - fill.fee_of_position
        if position.quantity == 0:
            del self.positions[fill.symbol]

    def hold_for(self, order: Order) -> None:
        """Bring what the order holds (cash of a buy, quantity of a sell) in line with its state."""
        needed = holding_of(order)
        change = needed - order.held
        if change and order.side is Side.BUY:
            self.reserved_cash += change
        elif change:
            self.held_quantities[order.symbol] = self.held_quantities.get(order.symbol, ZERO) + change
        order.held = needed

    def quantity_of(self, symbol: str) -> Decimal:
        position = self.positions.get(symbol)
        return position.quantity if position else ZERO

    def available_quantity(self, symbol: str) -> Decimal:
        """Return what can still be sold: the position less what open sell orders hold."""
        return self.quantity_of(symbol) - self.held_quantities.get(symbol, ZERO)

    def market_values(self, prices: dict[str, Decimal]) -> tuple[Decimal, Decimal]:
        """Return the market value of the long and of the short positions, the latter at most zero."""
        values = [position.quantity * prices[symbol] for symbol, position in self.positions.items()]
        return sum((v for v in values if v > 0), ZERO), sum((v for v in values if v < 0), ZERO)

    def buying_power(self, prices: dict[str, Decimal]) -> Decimal:
        long_value, short_value = self.market_values(prices)
        equity = self.cash + long_value + short_value
        return max(self.multiplier * equity - long_value + short_value - self.reserved_cash, ZERO)


def holding_of(order: Order) -> Decimal:
    """Return the cash an open buy may cost, or the quantity an open sell may take."""
    if order.is_final or order.status is Status.PENDING_NEW or not order.active:
        return ZERO
    if order.side is Side.SELL:
        return order.leaves_quantity
    return order.leaves_quantity * (order.limit_price or order.stop_price or order.reference_price)
