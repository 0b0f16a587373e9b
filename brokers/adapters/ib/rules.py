"""What a message of TWS or IB Gateway, or a failure of its client library, proves.

No order is settled by a code that does not prove it: warnings leave the order alive, a refused cancel may
mean that it has just filled, and a broken link tells nothing. Those come out as ambiguous and are read back.
"""

import re

from brokers.adapters.failures.bodies import as_code
from brokers.adapters.failures.transport import judge_causes, judge_exception, short_name
from brokers.adapters.failures.verdicts import (
    EFFECTFUL,
    ORDER_ENTRY,
    exists,
    not_sent,
    notice,
    read_back,
    refused,
    refused_for_now,
    unproven,
)
from brokers.adapters.ib import codes
from reliability.core.classification import Operation, RawFailure
from reliability.core.rules import Proof, Verdict
from reliability.core.taxonomy import RecoveryStrategy

SOURCE = "ib"
_MANUAL = RecoveryStrategy.MANUAL
_REASONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"day.?trad|pattern day", "BROKER_PATTERN_DAY_TRADER"),
        (r"both sides|wash|cross(es|ing)? .*own order|opposite .*order", "BROKER_WASH_TRADE"),
        (r"margin|equity with loan|available funds|insufficient (funds|cash|balance)|cash (is )?needed|settled cash"
         r"|currency leverage|buying power", "BROKER_INSUFFICIENT_FUNDS"),
        (r"not available for short|short (sale|sell)|not shortable|short stock|long position|no (such )?position",
         "BROKER_INSUFFICIENT_POSITION"),
        (r"(exchange|market) is (closed|not open)|outside (of )?(regular )?trading hours|outside rth",
         "BROKER_MARKET_CLOSED"),
        (r"account (is |has been )?(closed|restricted|suspended|locked|liquidat)|closing only|liquidation",
         "AUTH_ACCOUNT_RESTRICTED"),
        (r"no trading permission|permission|not allowed for this account|restricted from trading|kid\b|priips",
         "AUTH_FORBIDDEN"),
        (r"minimum price variation|minimum tick|invalid price|limit price|too far|order size|size .*(large|minimum)"
         r"|large limit order|invalid|incompatible|not supported|exceeds? .*(limit|maximum|max\b)"
         r"|contract description|tif\b|must be", "VALIDATION_INVALID_ORDER"),
        (r"(maximum|max\b|\d+) (number of )?(working|open|active)? ?orders|working orders", "BROKER_LIMIT_REACHED"),
        (r"halt|not available for trading|not tradable|delisted|expired", "BROKER_ASSET_NOT_TRADABLE"),
    )
)  # fmt: skip


def resolve_ib(raw: RawFailure) -> Verdict | None:
    """Return what a message proves; the raw code is its number, or the class of a client-side exception."""
    code = as_code(re.sub(r"(?i)^(error|warning)\s*", "", raw.raw_code.strip()))
    if code is not None:
        return judge_code(raw.operation, code, raw.message)
    named = re.match(r"(?i)(?:api )?(?:error|warning)[ :]+(?P<code>[0-9]{3,5})\b", raw.message.strip())
    if named and short_name(raw.raw_code) in ("requesterror", "ibkrerror", "error", ""):
        return judge_code(raw.operation, int(named["code"]), raw.message)
    return _judge_client(raw)


def judge_code(operation: Operation, code: int, message: str) -> Verdict | None:
    """Return what one of the codes proves about the operation, or None for an unknown code."""
    verdict = _judge_order_code(operation, code, message.lower()) or _judge_session_code(operation, code)
    verdict = verdict or _judge_data_code(operation, code, message.lower())
    if (
        verdict is not None
        and operation is Operation.CANCEL
        and verdict.proof is Proof.REFUSED
        and code not in _OF_CANCEL
    ):
        return unproven(verdict.code, retryable=verdict.retryable)  # it speaks of an order, not of its cancel
    return verdict


_OF_CANCEL = frozenset({10005, 10015})


def _judge_order_code(operation: Operation, code: int, text: str) -> Verdict | None:
    if code in codes.NOTICES:
        lives = code in codes.ORDER_LIVES and operation in ORDER_ENTRY
        return exists("BROKER_NOTICE") if lives else notice(operation)
    if code in codes.READ_BACK:
        return read_back(codes.READ_BACK[code])
    if code == 103:
        return exists()
    if code == 201:
        return _judge_rejection(operation, text)
    if code == 203:
        return refused("VALIDATION_INVALID_ORDER" if "ambiguous" in text else "AUTH_FORBIDDEN")
    if code == 460:
        return refused("AUTH_FORBIDDEN")
    if code == 200:
        return refused("VALIDATION_INVALID_ORDER" if "ambiguous" in text else "VALIDATION_UNKNOWN_SYMBOL")
    if code in (444, 2102):
        return refused_for_now("VALIDATION_WRONG_STATE", RecoveryStrategy.RETRY_BACKOFF)
    if code in codes.REFUSED:
        return refused(codes.REFUSED[code])
    if code in codes.ORDER_INVALID:
        return refused("VALIDATION_INVALID_ORDER")
    if code in (2148, 2113):
        return unproven("BROKER_MARGIN_CALL" if code == 2148 else "BROKER_NOTICE", retryable=False, strategy=_MANUAL)
    return None


def _judge_rejection(operation: Operation, text: str) -> Verdict:
    """Judge 201, which is the server's own rejection; of a cancel it says only that something was."""
    if re.search(r"duplicate order|order id .*(in use|already)", text):
        return exists()
    if re.search(r"no such order|cannot be (cancel|modif)|already (filled|cancel)|being cancel", text):
        return read_back("BROKER_ORDER_NOT_CANCELABLE")
    for pattern, code in _REASONS:
        if pattern.search(text):
            return refused(code)
    return refused("BROKER_ORDER_REJECTED")


def _judge_session_code(operation: Operation, code: int) -> Verdict | None:
    if code == 100:
        return unproven("RATE_LIMIT_EXCEEDED")  # TWS may drop the message or end the session: the order is not settled
    if code == 502:
        return not_sent("NETWORK_CONNECT_REFUSED")
    if code == 504:
        return not_sent("NETWORK_NOT_CONNECTED")
    if code == 520:
        return not_sent("NETWORK_UNREACHABLE")
    if code == 326:
        return not_sent("AUTH_SESSION_CONFLICT")
    if code in codes.OUTDATED:
        return not_sent("SYSTEM_CLIENT_OUTDATED", retryable=False, strategy=_MANUAL)
    if code == 327:
        return refused("SYSTEM_ACCOUNT_MISCONFIGURED")
    if code == 438:
        return unproven("AUTH_SESSION_CONFLICT", retryable=False, strategy=_MANUAL)
    if code in codes.LOST:
        return unproven("NETWORK_CONNECTION_LOST")
    if code in codes.ORDERS_SUSPENDED:
        return refused_for_now("BROKER_UNAVAILABLE")
    if code in codes.SERVER_TROUBLE:
        name = codes.SERVER_TROUBLE[code]
        certain = operation not in EFFECTFUL and name.startswith("VALIDATION")
        return refused(name) if certain else unproven(name, retryable=name == "BROKER_SERVER_ERROR")
    return None


def _judge_data_code(operation: Operation, code: int, text: str) -> Verdict | None:
    if code in (162, 420, 10189, 10190):
        return _judge_query_error(text)
    if code in codes.NOT_ENTITLED:
        return refused("AUTH_NOT_ENTITLED")
    if code == 10197:
        return refused_for_now("AUTH_SESSION_CONFLICT")
    if code in codes.SUBSCRIPTION_LIMITS:
        return refused("RATE_LIMIT_SUBSCRIPTIONS")
    if code in codes.FEED_DOWN:
        return unproven("NETWORK_FEED_DISCONNECTED")
    if code in codes.FEED_RESET:
        return unproven("DATA_FEED_INTERRUPTED")
    if code in codes.NO_DATA:
        return refused("DATA_NOT_AVAILABLE")
    if code in (415, 10230):
        return refused_for_now("VALIDATION_WRONG_STATE", RecoveryStrategy.RETRY_BACKOFF)
    return refused("VALIDATION_INVALID_REQUEST") if code in codes.REQUEST_INVALID else None


def _judge_query_error(text: str) -> Verdict:
    """Judge the errors of the data services, which are one number for pacing, permissions and absence."""
    if "pacing" in text or "too many" in text or "simultaneous" in text:
        return refused_for_now("RATE_LIMIT_EXCEEDED")
    if "permission" in text or "subscri" in text or "different ip" in text:
        return refused("AUTH_NOT_ENTITLED")
    if "no data" in text or "returned no" in text:
        return refused("DATA_NOT_AVAILABLE")
    if "cancel" in text:
        return notice(Operation.DATA)
    return refused("VALIDATION_INVALID_REQUEST") if "invalid" in text else refused_for_now("BROKER_SERVER_ERROR")


def _judge_client(raw: RawFailure) -> Verdict | None:
    """Judge exceptions of ib_async and ib_insync themselves."""
    name, text = short_name(raw.raw_code), raw.message.lower()
    if name == "connectionerror" and "not connected" in text:
        return not_sent("NETWORK_NOT_CONNECTED")
    if "api connection failed" in text or raw.operation is Operation.CONNECT:
        known = judge_causes(raw.causes) or judge_exception(raw.raw_code, raw.message)
        if "timeout" in name or "timeouterror" in text:
            return not_sent("TIMEOUT_CONNECT")
        return known or (not_sent("NETWORK_CONNECT_REFUSED") if "api connection failed" in text else None)
    if name == "assertionerror":
        return read_back("VALIDATION_ORDER_FINAL")  # ib_async asserts that an order being changed is not done
    if "socket disconnect" in text or "peer closed connection" in text:
        return unproven("NETWORK_CONNECTION_LOST")
    return judge_causes(raw.causes) or judge_exception(raw.raw_code, raw.message)
