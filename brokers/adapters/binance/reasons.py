"""Why the matching engine of Binance refused, by the message that comes with -1010, -1013, -2010 and -2011.

Source:
    "Messages for -1010 ERROR_MSG_RECEIVED, -2010 NEW_ORDER_REJECTED, and -2011 CANCEL_REJECTED" and
    "Filter failures" in "Error codes for Binance" (binance/binance-spot-api-docs, errors.md).
"""

import re

FILTER = re.compile(r"filter failure")
_BY_MESSAGE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r"filter failure: (exchange_)?max_(num_(algo_|iceberg_)?orders?|position|num_order)", "BROKER_LIMIT_REACHED"),
        (r"filter failure|price \* qty is zero|icebergqty exceeds|notional must be", "VALIDATION_INVALID_ORDER"),
        (r"insufficient (balance|funds|margin)|(balance|margin) is insufficient", "BROKER_INSUFFICIENT_FUNDS"),
        (r"market is closed|not trading|trading phase|exchange is closed", "BROKER_MARKET_CLOSED"),
        (r"would immediately (match|trigger)|would trigger immediately", "BROKER_ORDER_WOULD_MATCH"),
        (r"could not be executed as maker|post only", "BROKER_ORDER_WOULD_MATCH"),
        (r"reduceonly order is rejected", "BROKER_INSUFFICIENT_POSITION"),
        (r"symbol is (not permitted|restricted) for this account", "AUTH_FORBIDDEN"),
        (r"(rest|websocket) api trading is not enabled", "AUTH_FORBIDDEN"),
        (r"api-?key|not authorized|permissions? for action|you don.t have permission", "AUTH_INVALID_CREDENTIALS"),
        (r"disabled on this account|may not place or cancel", "AUTH_ACCOUNT_RESTRICTED"),
        (r"restricted location|eligibility|terms .*unavailable", "AUTH_FORBIDDEN"),
        (r"not support(ed)? for this symbol|unsupported order|relationship of the prices", "VALIDATION_INVALID_ORDER"),
        (r"check origclordid|cancel order is invalid", "VALIDATION_INVALID_REQUEST"),
        (r"cancel restrictions", "BROKER_ORDER_NOT_CANCELABLE"),
        (r"liquidity is less than|no orders on book", "BROKER_ORDER_REJECTED"),
        (r"too many (new )?orders", "RATE_LIMIT_EXCEEDED"),
        (r"invalid symbol", "VALIDATION_UNKNOWN_SYMBOL"),
    )
)


def reason_code(text: str) -> str:
    """Return the catalogue code behind a lower-cased message, or nothing when the reason is not a known one."""
    for pattern, code in _BY_MESSAGE:
        if pattern.search(text):
            return code
    return ""
