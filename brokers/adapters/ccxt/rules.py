"""What the exceptions of ccxt prove.

ccxt's classes mislead twice. An exchange's refusal that ccxt has no entry for falls, by its HTTP status,
to ``ExchangeNotAvailable`` and so looks retryable; and ``NetworkError`` stands for a connection that was
never made as well as for one that broke with the order on it. So the exchange's own code and text inside
the message decide first, then the wrapped exceptions, and the class last.

Source:
    ccxt 4: base/errors.py (the classes), base/exchange.py (``httpExceptions``, ``fetch``,
    ``handle_http_status_code``); binance.py and alpaca.py (``exceptions``).
"""

import re

from brokers.adapters.alpaca.rules import judge_reply
from brokers.adapters.binance.reasons import reason_code
from brokers.adapters.binance.rules import judge_code, resolve_binance
from brokers.adapters.failures.bodies import ErrorBody, find_body, find_status, is_page
from brokers.adapters.failures.transport import judge_causes, judge_exception, short_name
from brokers.adapters.failures.verdicts import (
    EFFECTFUL,
    ORDER_ENTRY,
    exists,
    not_sent,
    read_back,
    refused,
    refused_for_now,
    unexplained,
    unproven,
)
from reliability.core.classification import Operation, RawFailure
from reliability.core.guess import LOOKED_AT
from reliability.core.rules import Proof, Verdict
from reliability.core.sources.http_body import all_words
from reliability.core.taxonomy import RecoveryStrategy
from reliability.core.wording import find_phrase, tells_of_duplicate

SOURCE = "ccxt"
# Classes that ccxt raises for an exchange's own refusal, or before it sends anything.
_REFUSED = {
    "authenticationerror": "AUTH_INVALID_CREDENTIALS",
    "permissiondenied": "AUTH_FORBIDDEN",
    "accountnotenabled": "AUTH_FORBIDDEN",
    "accountsuspended": "AUTH_ACCOUNT_RESTRICTED",
    "restrictedlocation": "AUTH_FORBIDDEN",
    "badrequest": "VALIDATION_INVALID_REQUEST",
    "badsymbol": "VALIDATION_UNKNOWN_SYMBOL",
    "invalidaddress": "VALIDATION_INVALID_REQUEST",
    "addresspending": "VALIDATION_INVALID_REQUEST",
    "insufficientfunds": "BROKER_INSUFFICIENT_FUNDS",
    "invalidorder": "VALIDATION_INVALID_ORDER",
    "orderimmediatelyfillable": "BROKER_ORDER_WOULD_MATCH",
    "ordernotfillable": "BROKER_ORDER_REJECTED",
    "contractunavailable": "BROKER_ASSET_NOT_TRADABLE",
    "operationrejected": "BROKER_ORDER_REJECTED",
    "marketclosed": "BROKER_MARKET_CLOSED",
    "manualinteractionneeded": "AUTH_ACCOUNT_RESTRICTED",
    "nochange": "VALIDATION_ORDER_FINAL",
    "marginmodealreadyset": "VALIDATION_ORDER_FINAL",
}
_NEVER_SENT = {
    "argumentsrequired": "VALIDATION_INVALID_REQUEST",
    "notsupported": "VALIDATION_INVALID_REQUEST",
    "ordernotcached": "VALIDATION_INVALID_REQUEST",
    "invalidproxysettings": "SYSTEM_ACCOUNT_MISCONFIGURED",
    "exchangeclosedbyuser": "SYSTEM_SESSION_CLOSED",
}
_UNPROVEN = {
    "baseerror": "BROKER_SERVER_ERROR",
    "exchangeerror": "BROKER_SERVER_ERROR",
    "operationfailed": "BROKER_SERVER_ERROR",
    "networkerror": "NETWORK_CONNECTION_LOST",
    "ddosprotection": "RATE_LIMIT_EXCEEDED",
    "exchangenotavailable": "BROKER_UNAVAILABLE",
    "onmaintenance": "BROKER_MAINTENANCE",
    "requesttimeout": "TIMEOUT_READ",
    "badresponse": "DATA_MALFORMED_REPLY",
    "nullresponse": "DATA_MALFORMED_REPLY",
    "checksumerror": "DATA_FEED_INTERRUPTED",
    "unsubscribeerror": "NETWORK_STREAM_CLOSED",
}
_SAYING_NOTHING = frozenset({"baseerror", "exchangeerror", "operationfailed"})
_SHARED_WITH_DUPLICATES = frozenset({"VALIDATION_INVALID_ORDER", "VALIDATION_INVALID_REQUEST"})
CLASSES = frozenset(
    {*_REFUSED, *_NEVER_SENT, *_UNPROVEN, "ratelimitexceeded", "invalidnonce", "ordernotfound", "duplicateorderid",
     "cancelpending"}
)  # fmt: skip
_IDENTITY = re.compile(r"result|txid|ord(er)?_?id", re.IGNORECASE)
_EXCHANGE = re.compile(r"^\s*(?P<name>[a-z][a-z0-9]{1,24})\b(?!\.)")
_BINANCE = frozenset({"binance", "binanceus", "binanceusdm", "binancecoinm"})


def resolve_ccxt(raw: RawFailure) -> Verdict | None:
    """Return what an exception proves; the raw code is its class, qualified or not, the message its text."""
    name = short_name(raw.raw_code)
    if name not in CLASSES:
        return judge_causes(raw.causes) or judge_exception(raw.raw_code, raw.message)
    body = find_body(raw.message)
    status = raw.http_status or find_status(raw.message)
    if body is not None and not is_page(raw.message) and (inner := _judge_body(raw, name, status, body)):
        return inner
    if status is not None and (inner := _judge_bare_status(raw, name, status)):
        return inner
    return _judge_class(raw, name)


def _judge_body(raw: RawFailure, name: str, status: int | None, body: ErrorBody) -> Verdict | None:
    """Judge by what the exchange said, where it said something that is known."""
    exchange = _exchange(raw.message)
    if exchange == "alpaca" or (body.code is not None and body.code >= 40_000_000):
        implied = status or (body.code or 0) // 100_000
        words = body.message.lower().strip(" .")
        implied = implied or {"forbidden": 403, "unauthorized": 401}.get(words, 0)
        return judge_reply(raw.operation, implied, body) if implied else None
    if exchange in _BINANCE:
        return resolve_binance(
            RawFailure(raw.source, raw.operation, str(body.code) if body.code else "", raw.message, http_status=status)
        )
    return _judge_stranger(raw.operation, name, status, body)


def _judge_stranger(operation: Operation, name: str, status: int | None, body: ErrorBody) -> Verdict | None:
    """Judge an exchange whose codes are not known: its text may still be one of the usual reasons."""
    if status is not None and (status >= 500 or status == 408):
        return None
    if body.code is not None and body.code < -999 and (known := judge_code(operation, body.code, body)):
        return known
    said = all_words(body.document or {})
    if operation in ORDER_ENTRY and (
        tells_of_duplicate(said) or ("duplicate" in said and ("order" in said or "clientoid" in said))
    ):
        return exists()
    if name in ("requesttimeout", "badresponse", "nullresponse") or _names_an_order(body.document):
        return None
    reason = reason_code(body.message.lower()) or _usual_reason(said)
    return refused(reason) if reason else None


def _usual_reason(said: str) -> str:
    """Return the code of a refusal in words that only somebody uses who looked at the order."""
    phrase = find_phrase(said)
    return phrase.code if phrase is not None and phrase.proof is Proof.REFUSED and phrase.code in LOOKED_AT else ""


def _names_an_order(document: object) -> bool:
    """Return whether a reply names an order beside its error: then one may have been placed."""
    if isinstance(document, dict):
        return any(
            (_IDENTITY.fullmatch(str(name)) and value not in (None, "", "0", 0, [], {})) or _names_an_order(value)
            for name, value in document.items()
        )
    return isinstance(document, list) and any(_names_an_order(one) for one in document)


def _judge_bare_status(raw: RawFailure, name: str, status: int) -> Verdict | None:
    """Judge by the HTTP status where the class only repeats it: pages of proxies prove little."""
    if status == 429:
        return refused_for_now("RATE_LIMIT_EXCEEDED")
    if status == 418:
        return refused_for_now("RATE_LIMIT_BANNED")
    if status in (408, 504, 522, 524):
        return unproven("TIMEOUT_GATEWAY")
    if status >= 500:
        return unproven(
            "BROKER_UNAVAILABLE" if status in (502, 503, 520, 521, 523, 525, 526, 530) else "BROKER_SERVER_ERROR"
        )
    if is_page(raw.message) and status >= 300:
        return unproven("DATA_MALFORMED_REPLY")
    if name == "exchangenotavailable" and 300 <= status < 500:
        return unproven("DATA_MALFORMED_REPLY")
    return None


def _judge_class(raw: RawFailure, name: str) -> Verdict:
    if name in _NEVER_SENT:
        return not_sent(_NEVER_SENT[name], retryable=False, strategy=RecoveryStrategy.MANUAL)
    if name in _REFUSED:
        return _judge_refusing_class(raw, _REFUSED[name])
    if name == "duplicateorderid":
        return exists()
    if name == "ordernotfound":
        effectful = raw.operation in EFFECTFUL
        return read_back("BROKER_ORDER_NOT_FOUND") if effectful else refused("BROKER_ORDER_NOT_FOUND")
    if name == "cancelpending":
        return read_back("BROKER_NOTICE")
    if name == "ratelimitexceeded":
        return refused_for_now("RATE_LIMIT_EXCEEDED")
    if name == "invalidnonce":
        return refused_for_now("SYSTEM_CLOCK_SKEW")
    if name == "onmaintenance" and find_body(raw.message) and not is_page(raw.message):
        return refused_for_now("BROKER_MAINTENANCE")
    if name == "requesttimeout" and "keepalive" in raw.message.lower():
        return unproven("NETWORK_STREAM_SILENT")
    known = judge_causes(raw.causes) or _judge_own_text(raw, name)
    if known is not None:
        return known
    return unexplained(unproven(_UNPROVEN[name])) if name in _SAYING_NOTHING else unproven(_UNPROVEN[name])


def _judge_own_text(raw: RawFailure, name: str) -> Verdict | None:
    """Return that nothing was sent where the text itself tells of a connection that was not made."""
    if name not in ("networkerror", "exchangenotavailable"):
        return None
    verdict = judge_exception("ConnectionError", raw.message)
    return verdict if verdict is not None and verdict.proof is Proof.NOT_SENT else None


def _judge_refusing_class(raw: RawFailure, code: str) -> Verdict:
    """Return a refusal in the words of the exchange, where the class is wider than they are."""
    if not raw.message.strip() and raw.operation in ORDER_ENTRY and code in _SHARED_WITH_DUPLICATES:
        return unproven(code, retryable=False)
    narrower = reason_code(raw.message.lower())
    if code in ("VALIDATION_INVALID_ORDER", "VALIDATION_INVALID_REQUEST", "BROKER_ORDER_REJECTED"):
        if raw.operation in ORDER_ENTRY and tells_of_duplicate(raw.message.lower()):
            return exists()
        code = narrower or code
    if code == "VALIDATION_INVALID_REQUEST" and raw.operation in EFFECTFUL:
        code = "VALIDATION_INVALID_ORDER"
    return refused(code)


def _exchange(message: str) -> str:
    match = _EXCHANGE.match(message)
    return match["name"] if match else ""
