"""Why Alpaca refused: its codes are shared by many reasons, so the message decides first."""

import re

from reliability.core.classification import Operation

_FUNDS = (
    r"insufficient (day ?trading |intraday |options |non-marginable )?(buying power|funds|margin|cash)"
    r"|not enough (buying power|cash)"
)
# In message order: the first that fits wins, so the narrower reason stands above the wider one.
_BY_MESSAGE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"pattern day trad", "BROKER_PATTERN_DAY_TRADER"),
        (r"wash trade|opposite side (market|stop|limit).* order exists", "BROKER_WASH_TRADE"),
        (r"(long buy|short sell) while a (short sell|long buy)", "BROKER_WASH_TRADE"),
        (_FUNDS + r"|insufficient balance for usd", "BROKER_INSUFFICIENT_FUNDS"),
        (r"buying power .*(not sufficient|exceed)|exceeds .*buying power", "BROKER_INSUFFICIENT_FUNDS"),
        (r"insufficient (underlying )?(qty|quantity|balance|shares|position)", "BROKER_INSUFFICIENT_POSITION"),
        (r"no available position|position (does not exist|not found)", "BROKER_INSUFFICIENT_POSITION"),
        (r"market (is )?(currently )?(closed|not open)|outside (of )?(regular )?market hours", "BROKER_MARKET_CLOSED"),
        (r"(could not|cannot) find (us_equity|crypto|us_option|asset|symbol)", "VALIDATION_UNKNOWN_SYMBOL"),
        (
            r"(asset|symbol|option contract)\b.* not found|(invalid|unknown) symbol|code=400.*invalid symbol",
            "VALIDATION_UNKNOWN_SYMBOL",
        ),
        (r"not (currently )?(tradable|active)|is inactive|trading halt|is halted", "BROKER_ASSET_NOT_TRADABLE"),
        (r"subscription does not (permit|allow)|insufficient subscription", "AUTH_NOT_ENTITLED"),
        (r"not cancel+able|already in .*state|unable to cancel", "BROKER_ORDER_NOT_CANCELABLE"),
        (r"order (is )?not found", "BROKER_ORDER_NOT_FOUND"),
        (
            r"account .*(is|has been) (closed|suspended|blocked|restricted)|trading (is|has been) (blocked|suspended)",
            "AUTH_ACCOUNT_RESTRICTED",
        ),
        (r"not allowed|not eligible|not authorized|restricted|user request|liquidation", "BROKER_ORDER_REJECTED"),
    )
)
_BY_BROKER_CODE = {40310100: "BROKER_PATTERN_DAY_TRADER"}
_GENERAL = frozenset({"BROKER_ORDER_REJECTED", "VALIDATION_INVALID_ORDER", "VALIDATION_INVALID_REQUEST"})
# Words in which a request is found wrong, whatever is wrong about it.
_OF_VALIDATION = re.compile(
    r"\b(must|required?|requires|missing|malformed|invalid|cannot|can't|should|(not|un)supported|unknown|duplicate"
    r"|unauthorized|forbidden|only|greater|less|too (small|large|long)|minimum|maximum|increments?|decimals?)\b"
)
_UNDER_WAY = re.compile(r"pending[ _](new|cancel|replace)|\baccepted\b")
_READS = frozenset({Operation.QUERY, Operation.ACCOUNT, Operation.DATA, Operation.STREAM, Operation.CONNECT})


def known_reason(message: str) -> str:
    """Return the catalogue code of a reason that Alpaca is known to give, or nothing."""
    text = message.lower()
    for pattern, code in _BY_MESSAGE:
        if pattern.search(text):
            return code
    return ""


def is_explained(code: str, message: str) -> bool:
    """Return whether a refusal is for a reason that is known, or says in the usual words what is wrong."""
    return code not in _GENERAL or bool(known_reason(message) or _OF_VALIDATION.search(message.lower()))


def refusal_code(operation: Operation, status: int, broker_code: int | None, message: str) -> str:
    """Return the catalogue code of a refusal, given the operation, HTTP status, broker code and message."""
    if operation in _READS and status == 404 and "position" in message.lower():
        return "BROKER_POSITION_NOT_FOUND"
    reason = known_reason(message) or _BY_BROKER_CODE.get(broker_code or 0, "")
    if reason:
        return reason
    if operation in _READS:
        return "VALIDATION_INVALID_REQUEST"
    if operation is Operation.CANCEL and status == 422:
        return "VALIDATION_INVALID_REQUEST" if broker_code == 40010001 else "BROKER_ORDER_NOT_CANCELABLE"
    if operation is Operation.MODIFY and status == 422 and "replace" in message.lower():
        return "VALIDATION_WRONG_STATE" if _UNDER_WAY.search(message.lower()) else "VALIDATION_ORDER_FINAL"
    return "VALIDATION_INVALID_ORDER" if status in (400, 422) else "BROKER_ORDER_REJECTED"
