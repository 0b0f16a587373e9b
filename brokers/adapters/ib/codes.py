"""Interactive Brokers' message codes, grouped by what follows from them.

TWS sends errors, warnings and news through one callback, so most of the work is telling them apart.

Sources:
    "Error Codes" and "System Message Codes" in IBKR Campus, TWS API documentation; "Considerations for
    Automated Systems" of the TWS API reference; ``Wrapper.error`` of ib_async 2.1 for codes that are not
    listed there (434, 492, 10167, 10349) and for what clients have seen stay alive.
"""


def _span(*parts: int | tuple[int, int]) -> frozenset[int]:
    codes: set[int] = set()
    for part in parts:
        codes.update(range(part[0], part[1] + 1) if isinstance(part, tuple) else (part,))
    return frozenset(codes)


# What the request itself says is wrong: TWS does not transmit such an order.
ORDER_INVALID = _span(
    106, 107, 109, 110, 111, (113, 121), (125, 130), 132, (138, 148), (151, 153), (155, 160), 163, 164, 167, 168,
    303, (311, 315), 325, (328, 353), (355, 356), (358, 364), (367, 380), 382, 383, (387, 393), 394, 398, (400, 403),
    (405, 411), 413, (417, 419), 421, 422, (424, 429), 432, 433, (435, 437), (439, 443), (446, 449), 460, 478,
    (10000, 10004), (10006, 10014), (10020, 10027), (10234, 10237), (10240, 10254), (10268, 10270), (10286, 10298),
    (10302, 10308), 10310, 10312, 10314, 10315, 10317, 10318, 10319, 10321, (10324, 10327), 10330, 10336, 10337, 10338,
    (10340, 10345),
)  # fmt: skip
REQUEST_INVALID = _span(
    102, 122, 123, 124, 166, 301, 302, (304, 308), 319, 324, 330, 331, 332, 344, 346, 381, 384, 385, 386, 414, 416,
    431, 505, 508, 579, 585, 588, 2101, 10016, 10017, 10278, 10281, 10282, 10295, 10299, (10300, 10301), 10309,
    10322, 10339,
)  # fmt: skip
# Nothing failed, or what failed is a subscription that was not there any more.
NOTICES = _span(
    131, 165, 300, 310, 365, 366, 399, 404, 481, 492, 501, 2100, 2104, (2106, 2109), 2111, 2119, 2130, 2137, 2152,
    2158, 2168, 2169, 1102, 10018, 10019, 10167, 10233, 10239, 10287, 10288, 10311, 10316, 10329, (10331, 10335),
    10347, 10349,
)  # fmt: skip
# Of those, the ones that speak of an order which is held or was changed, and lives.
ORDER_LIVES = _span(131, 399, 404, 481, 492, 2109, 2111, 2137, 2168, 2169, 10233, 10311, 10329, 10331, 10332, 10349)
# A cancel or change was turned down; meanwhile the order may have filled.
READ_BACK = {
    104: "VALIDATION_ORDER_FINAL", 105: "VALIDATION_INVALID_ORDER", 134: "BROKER_ORDER_REJECTED",
    135: "BROKER_ORDER_NOT_FOUND", 136: "BROKER_ORDER_NOT_CANCELABLE", 137: "BROKER_ORDER_NOT_CANCELABLE",
    161: "BROKER_ORDER_NOT_CANCELABLE", 202: "BROKER_NOTICE", 10147: "BROKER_ORDER_NOT_FOUND",
    10148: "BROKER_ORDER_NOT_CANCELABLE",
}  # fmt: skip
REFUSED = {
    154: "BROKER_ASSET_NOT_TRADABLE", 392: "VALIDATION_INVALID_ORDER", 412: "BROKER_ASSET_NOT_TRADABLE",
    423: "BROKER_ORDER_REJECTED", 445: "BROKER_ORDER_REJECTED", 517: "VALIDATION_UNKNOWN_SYMBOL",
    10005: "AUTH_FORBIDDEN", 10015: "AUTH_FORBIDDEN",
}  # fmt: skip
NOT_ENTITLED = _span(354, 10089, 10090, 10091, 10168, 10186, 10187, 10276, 10277)
SUBSCRIPTION_LIMITS = _span(101, 309)
FEED_DOWN = _span(2103, 2105, 2157)
FEED_RESET = _span(316, 317, 1101, 10225)
NO_DATA = _span(430, 10279, 10280, 10283, 10284)
# The socket to TWS broke, or a message could not be written to it in full.
LOST = _span(
    507, 509, (510, 516), (518, 519), (521, 578), (580, 584), 586, 587, 589, 1100, 1300, 2110, 10038, 10182, 10328
)
OUTDATED = _span(357, 503, 506, 10285)
ORDERS_SUSPENDED = _span(395, 396, 397)
# The server stumbled over a request; three clients read 321 in three ways, so it settles nothing.
SERVER_TROUBLE = {
    133: "BROKER_ORDER_REJECTED", 320: "BROKER_SERVER_ERROR", 321: "VALIDATION_INVALID_REQUEST",
    322: "BROKER_SERVER_ERROR", 323: "BROKER_SERVER_ERROR", 434: "VALIDATION_INVALID_ORDER",
    10238: "BROKER_SERVER_ERROR",
}  # fmt: skip
