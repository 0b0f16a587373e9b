"""Failures as brokers, clients and servers word them, each with what it means; the real classifier reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from brokers.adapters.failure_rules import RESOLVERS
from config.simulation.episodes import Episode, Finding, Scenario
from reliability.core.classification import ClassifiedError, Operation, RawFailure
from reliability.core.classifier import Classifier
from reliability.core.sources.registry import generic_resolvers
from reliability.services.guarding.policy import CircuitEffect, circuit_effect

_CLASSIFIER = Classifier(resolvers={**generic_resolvers(), **RESOLVERS})


@dataclass(frozen=True, slots=True)
class Wording:
    """A failure: who says it and how. ``code`` is the right one of the catalogue.

    ``is_unknown``: after a submission nobody knows whether the order exists. ``{n}`` and ``{word}`` are filled by chance.
    """

    source: str
    raw_code: str
    message: str
    code: str
    is_unknown: bool
    status: int | None = None


FAULTS: Mapping[str, tuple[Wording, ...]] = {
    "unavailable": (
        Wording("alpaca_rest", "503/-", "", "BROKER_UNAVAILABLE", True, 503),
        Wording("alpaca_rest", "502/-", "upstream connect error {n}", "BROKER_UNAVAILABLE", True, 502),
        Wording("ccxt", "ExchangeNotAvailable", "binance 503 Service Unavailable {n}", "BROKER_UNAVAILABLE", True),
    ),
    "server_error": (Wording("alpaca_rest", "500/-", "internal server error occurred {n}", "BROKER_SERVER_ERROR", True, 500),),
    "lost": (
        Wording("aiohttp", "ServerDisconnectedError", "Server disconnected", "NETWORK_CONNECTION_LOST", True),
        Wording("python", "ConnectionResetError", "[Errno 104] Connection reset by peer", "NETWORK_CONNECTION_LOST", True),
        Wording("ib", "1100", "Connectivity between IB and Trader Workstation has been lost.", "NETWORK_CONNECTION_LOST", True),
    ),
    "refused_connection": (
        Wording(
            "aiohttp", "ClientConnectorError", "Cannot connect to host {word}:{n} ssl:default [Connect call failed ('192.0.2.1', {n})]",
            "NETWORK_CONNECT_REFUSED", False,
        ),
    ),
    "read_timeout": (
        Wording("python", "TimeoutError", "", "TIMEOUT_READ", True),
        Wording("ccxt", "RequestTimeout", "binance POST https://{word}/ request timed out ({n} ms)", "TIMEOUT_READ", True),
        Wording("alpaca_rest", "504/-", "", "TIMEOUT_GATEWAY", True, 504),
    ),
    "html": (Wording("alpaca_rest", "200/-", "<html><body>{word} {n}</body></html>", "DATA_MALFORMED_REPLY", True, 200),),
    "name": (Wording("python", "socket.gaierror", "[Errno -2] Name or service not known", "NETWORK_DNS_FAILED", False),),
    "certificate": (
        Wording("aiohttp", "ClientConnectorCertificateError", "certificate verify failed: {word}", "NETWORK_TLS_FAILED", False),
    ),
    "credentials": (Wording("alpaca_rest", "401/40110000", "request is not authorized", "AUTH_INVALID_CREDENTIALS", False, 401),),
}  # fmt: skip
REFUSALS: Mapping[str, tuple[Wording, ...]] = {
    "insufficient_funds": (
        Wording("alpaca_rest", "403/40310000", "insufficient buying power", "BROKER_INSUFFICIENT_FUNDS", False, 403),
        Wording("ccxt", "InsufficientFunds", "binance Account has insufficient balance for requested action.", "BROKER_INSUFFICIENT_FUNDS", False),
        Wording("ib", "201", "Order rejected - reason:insufficient funds", "BROKER_INSUFFICIENT_FUNDS", False),
    ),
    "market_closed": (Wording("alpaca_rest", "403/40310000", "market is closed", "BROKER_MARKET_CLOSED", False, 403),),
    "wash_trade": (
        Wording("alpaca_rest", "422/40010001", "potential wash trade detected. use complex orders", "BROKER_WASH_TRADE", False, 422),
    ),
    "invalid_order": (
        Wording("alpaca_rest", "422/42210000", "cost basis must be >= minimal amount of order {n}", "VALIDATION_INVALID_ORDER", False, 422),
    ),
    "throttled": (
        Wording("alpaca_rest", "429/-", "too many requests.", "RATE_LIMIT_EXCEEDED", False, 429),
        Wording("ccxt", "DDoSProtection", "binance 418 I'm a teapot", "RATE_LIMIT_BANNED", False),
    ),
}  # fmt: skip


def classify(raw: RawFailure) -> ClassifiedError:
    return _CLASSIFIER.classify(raw)


def answer(how: str, operation: Operation, chance: Random) -> ClassifiedError:
    """Return one failure of a kind as the classifier reads it."""
    return classify(_raw(chance.choice({**FAULTS, **REFUSALS}[how]), operation, chance))


def _raw(wording: Wording, operation: Operation, chance: Random) -> RawFailure:
    text = wording.message.format(n=chance.randint(1, 65_000), word="".join(chance.choices("abcdefghij", k=8)))
    return RawFailure(wording.source, operation, wording.raw_code, text, wording.status)


def play_read(episode: Episode) -> tuple[Finding, str]:
    """A submission fails: is it known which failure it is, and what must not be believed of it."""
    chance = episode.random
    wording = chance.choice([one for kind in (FAULTS if episode.is_fault else REFUSALS).values() for one in kind])
    raw = _raw(wording, Operation.SUBMIT, chance)
    if episode.is_blind:
        raw = RawFailure("nobody", Operation.SUBMIT, "", "")
    if episode.is_eager:
        raw = RawFailure("alpaca_rest", Operation.SUBMIT, "503/-", "", 503)
    error = classify(raw)
    episode.note(0, f"{raw.source} {raw.raw_code} {raw.message!r} is {error.code}, ambiguous {error.ambiguous}")
    if not episode.is_fault:
        sick = circuit_effect(error) is CircuitEffect.FAILURE or error.ambiguous
        return Finding(f"taken for a failure of the broker: {error.code}" if sick else ""), ""
    broken = () if error.ambiguous is wording.is_unknown else (f"ambiguous is {error.ambiguous}",)
    return Finding(error.code, None, broken), wording.code


FAILURE_SCENARIOS = (
    Scenario(
        "failures.read",
        "protocol",
        "a failure is named rightly, and an unknown outcome is not called a refusal",
        play_read,
    ),
)
