"""What the conformance suite needs of a broker it can make trouble at."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from brokers.adapters.interface import AccountSettings, BrokerAdapter
from brokers.core.orders import OrderTerms
from brokers.core.reports import FillReport


class Trouble(Enum):
    """Ways in which a call can go wrong. The effect takes place or not, as the comment says."""

    REPLY_LOST = auto()  # carried out, connection cut before the reply
    REQUEST_LOST = auto()  # not carried out, connection cut
    HANGING = auto()  # carried out, no reply ever
    SERVER_ERROR = auto()  # an internal error, after carrying it out
    UNAVAILABLE_PAGE = auto()  # a proxy's page for an absent server
    GATEWAY_TIMEOUT_PAGE = auto()  # a proxy's page after carrying it out
    PROXY_SUCCESS_PAGE = auto()  # a page of some proxy with a success status
    PROXY_REFUSAL_PAGE = auto()  # a page of some proxy with a refusal status
    PROXY_NOT_FOUND_PAGE = auto()
    ERROR_IN_SUCCESS = auto()  # an error document with a success status
    EMPTY_SUCCESS = auto()
    MALFORMED = auto()  # carried out, the reply is broken
    TRUNCATED = auto()
    MISSING_FIELDS = auto()
    OTHER_ORDER = auto()  # carried out, the reply is about another order
    THROTTLED = auto()
    LOGIN_REFUSED = auto()
    INSUFFICIENT_FUNDS = auto()
    ECHOED_CREDENTIALS = auto()  # an error whose text repeats what was sent


def filled_after_each(fills: Sequence[FillReport]) -> list[Decimal]:
    """Return an order's filled quantity after each execution, added up where the broker does not tell it."""
    told = [fill.cumulative_quantity for fill in fills if fill.cumulative_quantity is not None]
    return told or list(accumulate(fill.quantity for fill in fills))


class Counterpart(Protocol):
    """One running broker with one account."""

    settings: AccountSettings

    def make_trouble(self, trouble: Trouble) -> None:
        """From now on every call of every kind meets this trouble."""

    def clear_trouble(self) -> None: ...

    def resting_terms(self) -> OrderTerms:
        """Return terms of an order that stays open until ``fill`` is called."""

    def invalid_terms(self) -> OrderTerms:
        """Return terms the broker refuses."""

    def fill(self, broker_order_id: str, quantity: Decimal) -> None: ...

    def count_submissions(self, client_order_id: str) -> int:
        """Return how many requests to submit this order arrived, by the broker's own record."""

    def cut_streams(self) -> None: ...

    def lose_stream_events(self) -> None:
        """Keep the streams alive, pings answered, and lose every event on them."""

    def freeze(self) -> None:
        """Stop the whole broker in its tracks, its connections left open."""

    def thaw(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ConformanceTarget:
    """An adapter and a broker for it to speak to; ``launch`` takes a directory and runs the broker meanwhile.

    ``troubles`` says what can befall submissions, cancels and queries on this wire; ``silent`` are those after which no
    reply is to be waited for. ``lists_instruments`` is False for a broker without such a list.
    """

    name: str
    adapter: BrokerAdapter
    launch: Callable[[Path], AbstractContextManager[Counterpart]]
    submit_troubles: frozenset[Trouble] = frozenset(Trouble)
    cancel_troubles: frozenset[Trouble] = frozenset(Trouble)
    query_troubles: frozenset[Trouble] = frozenset(Trouble)
    silent: frozenset[Trouble] = frozenset({Trouble.HANGING})
    lists_instruments: bool = True
