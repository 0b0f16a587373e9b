"""Requests in Binance's manner: parameters, signatures, and refusals in its words.

Source:
    "General API Information", "Request Security" and "Filters", Binance Spot API documentation;
    "Error codes for Binance" (binance/binance-spot-api-docs, errors.md).
"""

import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from brokers.simulator.gate import Call
from brokers.simulator.instruments import Instrument
from brokers.simulator.requests import LARGEST, RefusalError

DEFAULT_WINDOW_MS = 5000
LARGEST_WINDOW_MS = 60_000
AHEAD_MS = 1000
QUANTITY_STEP = Decimal("0.00000001")
_CLIENT_ORDER_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")
_LEGAL_ID = r"'^[\.A-Z\:/a-z0-9_-]{1,36}$'"

Params = Mapping[str, str]


class BinanceRefusalError(RefusalError):
    """The broker says no, with a body as Binance writes it."""

    def __init__(self, code: int, message: str, status: int = 400, extras: dict[str, Any] | None = None) -> None:
        super().__init__(status, code, message, extras)

    @property
    def body(self) -> dict[str, Any]:
        return {"code": self.code, "msg": self.message, **self.extras}


def params_of(call: Call) -> dict[str, str]:
    """Return the parameters of a call, from its query and its form alike."""
    return {**call.request.query, **dict(parse_qsl(call.body.decode(errors="replace")))}


def signed_text(call: Call) -> str:
    """Return what the signature covers: query and body as they were sent, without the signature itself."""
    parts = (call.request.rel_url.raw_query_string, call.body.decode(errors="replace"))
    return "".join(_SIGNATURE.sub("", part) for part in parts)


def check_timing(params: Params) -> None:
    """Refuse a request that was signed too long ago, or in our future.

    Raises:
        BinanceRefusalError: -1102 without a timestamp, -1131 for a bad window, -1021 outside of it.
    """
    window = params.get("recvWindow", str(DEFAULT_WINDOW_MS))
    if not re.fullmatch(r"\d{1,5}(\.\d{1,3})?", window) or float(window) > LARGEST_WINDOW_MS:
        raise BinanceRefusalError(-1131, "recvWindow must be less than 60000")
    stamp, now = whole_number(params, "timestamp"), time.time() * 1000
    if stamp is None:
        raise missing("timestamp")
    if stamp > now + AHEAD_MS:
        raise BinanceRefusalError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now - stamp > float(window):
        raise BinanceRefusalError(-1021, "Timestamp for this request is outside of the recvWindow.")


def check_signature(signature: str, text: str, secret: str) -> None:
    """Refuse a signature that is not of ``text``; an empty secret is unknown, so that any well-formed one passes.

    Raises:
        BinanceRefusalError: -1102 without one, -1022 for a wrong one.
    """
    if not signature:
        raise missing("signature")
    right = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest() if secret else signature
    if not re.fullmatch(r"[0-9a-fA-F]{64}", signature) or not hmac.compare_digest(signature.lower(), right.lower()):
        raise BinanceRefusalError(-1022, "Signature for this request is not valid.")


def missing(name: str) -> BinanceRefusalError:
    return BinanceRefusalError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def offered(instruments: Mapping[str, Instrument]) -> dict[str, Instrument]:
    """Return the instruments that are pairs, by Binance's name for them: BTC/USD is BTCUSD."""
    return {symbol.replace("/", ""): instrument for symbol, instrument in instruments.items() if "/" in symbol}


def assets_of(instrument: Instrument) -> tuple[str, str]:
    """Return what is traded and what it is paid in."""
    base, _, quote = instrument.symbol.partition("/")
    return base, quote


def instrument_of(call: Call, params: Params) -> Instrument:
    name = params.get("symbol")
    if not name:
        raise missing("symbol")
    found = offered(call.broker.instruments).get(name)
    if found is None:
        raise BinanceRefusalError(-1121, "Invalid symbol.")
    return found


def whole_number(params: Params, name: str) -> int | None:
    text = params.get(name)
    if not text:
        return None
    if not re.fullmatch(r"\d{1,18}", text):
        raise BinanceRefusalError(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        )
    return int(text)


def limit_of(params: Params, default: int = 500, largest: int = 1000) -> int:
    limit = whole_number(params, "limit")
    return min(default if limit is None else limit, largest)


def amount(params: Params, name: str) -> Decimal | None:
    """Return a positive number with at most 8 decimal places, or None where there is none."""
    text = params.get(name)
    if not text:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value >= LARGEST:
        raise BinanceRefusalError(-1100, f"Illegal characters found in parameter '{name}'.")
    if value <= 0:
        raise BinanceRefusalError(-1013, f"Invalid {name}.")
    if value != value.quantize(QUANTITY_STEP):
        raise BinanceRefusalError(-1111, f"Parameter '{name}' has too much precision.")
    return value


def client_order_id_of(params: Params, name: str = "newClientOrderId") -> str | None:
    value = params.get(name) or None
    if value is not None and not _CLIENT_ORDER_ID.fullmatch(value):
        raise BinanceRefusalError(-1100, f"Illegal characters found in parameter '{name}'; legal range is {_LEGAL_ID}.")
    return value
