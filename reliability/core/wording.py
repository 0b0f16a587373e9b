"""What brokers, proxies and libraries say when something failed, whatever their codes: texts and what they prove.

The patterns are searched in lower-cased text. Only the words of somebody who looked at the request
prove that it was refused; ``proof`` holds for an answer that is the broker's own, never for a page of a proxy.
"""

import re
from dataclasses import dataclass

from reliability.core.classification import Proof


@dataclass(frozen=True, slots=True)
class Phrase:
    """A pattern of texts, the code they speak of, and what they prove when the broker says so."""

    pattern: re.Pattern[str]
    code: str
    proof: Proof


_ORDER_ID = r"(client[ _-]?order[ _-]?(id|number)|cl[ _-]?ord[ _-]?id|client[ _-]?oid|order[ _-]?(link(ed)?[ _-]?)?(id|number|ref))"
_FINAL = r"(filled|cancell?ed|closed|completed|executed|expired|rejected|in a final state)"
_MONEY = r"(buying power|funds|balance|margin|cash|money|equity|credit|collateral)"
_REFUSALS = (
    (r"insufficient (\w+ )?(permission|privilege|scope|right)", "AUTH_FORBIDDEN"),
    (r"pattern day trad", "BROKER_PATTERN_DAY_TRADER"),
    (r"wash trad|self[- ]?(trade|match)|opposite side .*order exists", "BROKER_WASH_TRADE"),
    (
        rf"(insufficient|not enough|inadequate|lack of|lacks) (\w+ ){{0,2}}{_MONEY}|insufficient_?{_MONEY}"
        rf"|{_MONEY}( is| are)? (insufficient|not sufficient|not enough|too low)"
        rf"|(exceeds?|exceeded|over) (\w+ ){{0,3}}{_MONEY}",
        "BROKER_INSUFFICIENT_FUNDS",
    ),
    (
        r"(insufficient|not enough) (\w+ )?(qty|quantity|shares|positions?|holdings?)|no (open |available )?position\b"
        r"|position (does not exist|not found)",
        "BROKER_INSUFFICIENT_POSITION",
    ),
    (
        r"market (is )?(currently )?(closed|not open)|outside (of )?(\w+ )?(market|trading) hours"
        r"|(trading )?session (is )?closed|exchange (is )?closed",
        "BROKER_MARKET_CLOSED",
    ),
    (
        r"not (currently )?(tradable|tradeable)|trading (is )?(halted|suspended|disabled)|is (halted|delisted|suspended)",
        "BROKER_ASSET_NOT_TRADABLE",
    ),
    (
        r"(unknown|invalid|unsupported) (symbol|instrument|asset|contract|ticker|currency pair)"
        r"|(symbol|instrument|asset|ticker)\b.{0,40}? (is )?(not found|does not exist|unknown|invalid|not supported)"
        r"|no security definition",
        "VALIDATION_UNKNOWN_SYMBOL",
    ),
    (r"would (immediately )?(match|trigger|take)|post[- ]only", "BROKER_ORDER_WOULD_MATCH"),
    (
        r"(min(imum)?|max(imum)?)[ _](notional|order (size|value|amount)|quantity|qty)|lot[ _]size|tick size"
        r"|price[ _](filter|increment)|sub-?penny|(price|quantity|qty|size|amount) (is )?(too (high|low|small|large)|out of range)"
        r"|(invalid|illegal|bad|missing) (\w+ )?(qty|quantity|price|side|order type|time[ _]in[ _]force|amount|size)",
        "VALIDATION_INVALID_ORDER",
    ),
    (
        r"(open|position|order|exposure|concentration|risk) (\w+ )?limit (is )?(exceeded|reached)|max(imum)? (number of )?open orders",
        "BROKER_LIMIT_REACHED",
    ),
    (r"order (was |has been )?(rejected|refused|declined)|rejected by (the )?(exchange|broker)", "BROKER_ORDER_REJECTED"),
    (
        r"not (allowed|permitted) for (this |your )?account|account (is |has been )?(restricted|blocked|suspended|disabled|closed|frozen)",
        "AUTH_ACCOUNT_RESTRICTED",
    ),
    (r"not (entitled|subscribed)|subscription (does not|doesn't|required|expired)|upgrade your (plan|subscription)", "AUTH_NOT_ENTITLED"),
    (r"(session|token|login) (has |is )?expired|expired (session|token|login)", "AUTH_SESSION_EXPIRED"),
    (
        r"(invalid|bad|wrong|unknown|missing|incorrect) (\w+ )?(api[ _-]?key|access key|signature|credentials?|password|token|secret)"
        r"|api[ _-]?key (is )?(invalid|missing|expired|not found|wrong)|\bunauthori[sz]ed\b|not authenticated"
        r"|authentication (failed|required|error)|(login|sign-?in) (failed|required)|signature .{0,40}not valid",
        "AUTH_INVALID_CREDENTIALS",
    ),
    (r"\bforbidden\b|permission denied|no permission|not authori[sz]ed|access denied|not permitted", "AUTH_FORBIDDEN"),
    (
        r"(missing|required|mandatory|invalid|malformed|illegal|unsupported|unknown) (\w+ )?(param(eter)?s?|field|argument|value|request|json|payload|body)"
        r"|(is|are) (required|mandatory|not valid|malformed)|validation (failed|error)|unprocessable|failed to parse|cannot parse",
        "VALIDATION_INVALID_REQUEST",
    ),
)  # fmt: skip
_THROTTLES = (
    (r"(ip|address|you) (\w+ )?(is |was |been |are )?(auto[- ])?banned", "RATE_LIMIT_BANNED"),
    (
        r"too many (\w+ )?(requests?|calls|messages|orders|attempts|queries)|rate[ _-]?limit|ratelimit|throttl"
        r"|(request|call|message|api|query|weight)s? (\w+ )?(limit|quota)( is)?( exceeded| reached)?|quota exceeded|pacing violation|slow down",
        "RATE_LIMIT_EXCEEDED",
    ),
    (r"too many (\w+ )?connections|connection limit", "RATE_LIMIT_CONNECTIONS"),
)  # fmt: skip
_UNPROVEN = (
    (
        rf"{_ORDER_ID} (\S+ )?(is )?(unknown|not found|does not exist|invalid)|unknown (client )?order|no such order"
        r"|order(\s+\S+)? (was |is |could )?(not (be )?found|does not exist|unknown)|order does not exist",
        "BROKER_ORDER_NOT_FOUND",
    ),
    (
        rf"already (been )?{_FINAL}|not cancel+able"
        r"|(cannot|can't|can not|unable to|too late to|failed to) (be )?(cancel|modify|replace|amend)",
        "BROKER_ORDER_NOT_CANCELABLE",
    ),
    (r"maintenance|system upgrad|scheduled downtime", "BROKER_MAINTENANCE"),
    (r"overload|server (is )?(too )?busy|system (is )?busy|at capacity", "BROKER_OVERLOADED"),
    (
        r"(service|server|system|exchange|gateway|broker|backend|api) (is )?(currently |temporarily )?(unavailable|not available|down|offline)"
        r"|temporarily unavailable|bad gateway|try again later|upstream connect error",
        "BROKER_UNAVAILABLE",
    ),
    (r"gateway time-?out|upstream request timeout", "TIMEOUT_GATEWAY"),
    (r"internal (server )?error|server error|unknown error|unexpected error|internal exception|something went wrong", "BROKER_SERVER_ERROR"),
)  # fmt: skip


def _phrases(table: tuple[tuple[str, str], ...], proof: Proof) -> tuple[Phrase, ...]:
    return tuple(Phrase(re.compile(pattern), code, proof) for pattern, code in table)


_DUPLICATES = (
    (
        rf"{_ORDER_ID}\b.{{0,60}}? (must be unique|(is |was )?(not unique|duplicated?|in use|exists)"
        rf"|(is |was |has )?already\b(?! (been )?{_FINAL}))"
        rf"|duplicated? (\w+ )?(order|{_ORDER_ID})|order (\S+ ){{0,6}}already (exists|submitted|placed|received|sent)"
        r"|idempotency",
        "BROKER_DUPLICATE_CLIENT_ORDER_ID",
    ),
)
PHRASES: tuple[Phrase, ...] = (
    *_phrases(_DUPLICATES, Proof.EXISTS),
    *_phrases(_UNPROVEN[:2], Proof.UNPROVEN),
    *_phrases(_THROTTLES, Proof.REFUSED),
    *_phrases(_REFUSALS, Proof.REFUSED),
    *_phrases(_UNPROVEN[2:], Proof.UNPROVEN),
)
"""In this order: what leaves the outcome open stands above what proves a refusal."""


_OPEN = re.compile(
    r"(execution|send|order|submission|outcome|final|its) (status|state|result|outcome) (is |was )?(unknown|uncertain|undetermined|pending confirmation)"
    r"|outcome (is )?(unknown|uncertain)|(may|might|could) (already )?have (already )?been (submitted|sent|accepted|placed|executed|filled|processed|received)"
)


def leaves_open(text: str) -> bool:
    """Return whether ``text`` (lower case) says itself that nobody knows whether it was carried out."""
    return _OPEN.search(text) is not None


def tells_of_duplicate(text: str) -> bool:
    """Return whether ``text`` (lower case) says that what was sent is there already."""
    return any(phrase.pattern.search(text) for phrase in PHRASES if phrase.proof is Proof.EXISTS)


def find_phrase(text: str) -> Phrase | None:
    """Return the first phrase that ``text`` (lower case) contains, or None."""
    for phrase in PHRASES:
        if phrase.pattern.search(text):
            return phrase
    return None
