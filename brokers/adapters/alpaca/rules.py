"""What a failed reply of Alpaca's trading and data API proves.

One rule outweighs the rest: a failure that is wrongly taken for "not carried out" becomes a
doubled order. A submission, change or cancel is only called refused when Alpaca's own words prove
it; everything else is ambiguous and must be looked up.

Sources:
    Alpaca OpenAPI documents (trading-api.json, market-data-api.json); "How to fix common trading API
    errors at Alpaca"; replies reported in the issue trackers of Alpaca's SDKs, named row by row in the
    corpus of the tests.
"""

import re
from dataclasses import replace

from brokers.adapters.alpaca.refusals import is_explained, known_reason, refusal_code
from brokers.adapters.failures.bodies import ErrorBody, as_code, read_body
from brokers.adapters.failures.transport import judge_causes, judge_exception
from brokers.adapters.failures.verdicts import (
    EFFECTFUL,
    ORDER_ENTRY,
    exists,
    refused,
    refused_for_now,
    unexplained,
    unproven,
)
from reliability.core.classification import Operation, RawFailure
from reliability.core.rules import Verdict
from reliability.core.wording import leaves_open, tells_of_duplicate

SOURCE = "alpaca_rest"
_GATEWAY_TIMEOUTS = frozenset({408, 504, 522, 524})
_UNAVAILABLE = frozenset({502, 503, 520, 521, 523, 525, 526, 530})
_REFUSAL_STATUSES = frozenset({400, 403, 404, 422})
_PERMISSION = re.compile(r"^(request is )?(forbidden|unauthorized|not authorized|access denied)\W*$")
_KNOWN_THING = re.compile(r"(order|asset|position|symbol|contract)\b.*(not (be )?found|does not exist)")
_RAW_CODE = re.compile(r"(?:(?P<status>[1-5][0-9]{2}|-)/?)?(?P<code>-?[0-9]{5,12}|(?<=/)(?:-?[0-9]{1,12}|-)|(?=$))")
_OF_DUPLICATES = 40_010_001  # among many other things


def resolve_rest(raw: RawFailure) -> Verdict | None:
    """Return what a failed call proves, or None for a raw code that is not known.

    The raw code is ``HTTP status/broker code`` with ``-`` for a missing one, and the message the body or the
    message inside it; or it is the class of the HTTP client's exception.
    """
    match = _RAW_CODE.fullmatch(raw.raw_code.strip())
    if match is None and raw.http_status is None:
        return judge_causes(raw.causes) or judge_exception(raw.raw_code, raw.message)
    body = error_body(raw.message, match["code"] if match else None)
    status = as_code(match["status"]) if match else None
    status = raw.http_status if status is None else status
    if status is None:
        return _without_status(raw.operation, body)
    return judge_reply(raw.operation, status, body)


def _without_status(operation: Operation, error: ErrorBody) -> Verdict | None:
    """Judge Alpaca's own code where nobody kept the status, which its first digits repeat."""
    status = (error.code or 0) // 100_000
    return judge_reply(operation, status, error) if 400 <= status <= 599 and not error.is_page else None


def error_body(message: str, code: str | None = None) -> ErrorBody:
    """Return the error document behind a raw message: the body itself, or a message next to the code it came with."""
    body = read_body(message)
    given = as_code(code)
    if body.is_json:
        return body if body.code is not None else replace(body, code=given)
    if body.is_page or not body.message:
        return body if given is None else replace(body, is_json=not body.is_page, code=given)
    quoted = given is not None or bool(known_reason(body.message)) or bool(_PERMISSION.match(body.message.lower()))
    return replace(body, is_json=quoted, code=given)


def judge_reply(operation: Operation, status: int, error: ErrorBody) -> Verdict:
    """Return what a reply with this status and body proves about the operation."""
    if status == 429:
        return refused_for_now("RATE_LIMIT_EXCEEDED")
    if status >= 500 or status == 408:
        return unproven(server_code(status))
    if status < 300:
        return _judge_success(operation, error)
    return _judge_refusal(operation, status, error)


def server_code(status: int) -> str:
    """Return the code of a failure on the other side, given its HTTP status."""
    if status in _GATEWAY_TIMEOUTS:
        return "TIMEOUT_GATEWAY"
    return "BROKER_UNAVAILABLE" if status in _UNAVAILABLE else "BROKER_SERVER_ERROR"


def _judge_success(operation: Operation, error: ErrorBody) -> Verdict:
    """Judge an error inside a success: it counts only if its reason is one that Alpaca gives before carrying out."""
    status = (error.code or 0) // 100_000
    known = known_reason(error.message) or tells_of_duplicate(error.message.lower())
    if error.is_json and (status in (401, 429) or (status in _REFUSAL_STATUSES and known)):
        return judge_reply(operation, status, error)
    return unproven("DATA_MALFORMED_REPLY")


def _judge_refusal(operation: Operation, status: int, error: ErrorBody) -> Verdict:
    if operation in ORDER_ENTRY and error.is_json:
        if tells_of_duplicate(error.message.lower()):
            return exists()
        if error.code == _OF_DUPLICATES and not _is_whole(error.message):
            return unproven("VALIDATION_INVALID_ORDER", retryable=False)  # the words that are missing may say duplicate
    if operation in EFFECTFUL and leaves_open(error.message.lower()):
        return unproven("BROKER_SERVER_ERROR")
    if status == 401 and error.is_page and operation not in EFFECTFUL:
        return refused("AUTH_INVALID_CREDENTIALS")
    if status in (401, 403) and _is_about_identity(status, error):
        return refused("AUTH_INVALID_CREDENTIALS" if status == 401 else "AUTH_FORBIDDEN")
    if status == 404 and not is_about_a_known_thing(error.code, error.message):
        return _malformed(error)
    if status in _REFUSAL_STATUSES and error.is_refusal:
        verdict = refused(refusal_code(operation, status, error.code, error.message))
        return verdict if is_explained(verdict.code, error.message) else unexplained(verdict)
    return _malformed(error)


def _malformed(error: ErrorBody) -> Verdict:
    """Return the verdict of a reply that is none of Alpaca's; a proxy's page explains itself."""
    verdict = unproven("DATA_MALFORMED_REPLY")
    return verdict if error.is_page or not error.message else unexplained(verdict)


def _is_whole(message: str) -> bool:
    """Return whether a reason is there and is not the beginning of a document."""
    return bool(message) and not message.lstrip().startswith("{")


def _is_about_identity(status: int, error: ErrorBody) -> bool:
    """Tell a refusal of the caller from a refusal of the order, and from a page of some proxy."""
    if not error.is_json and error.message:
        return False
    if status == 403 and error.code is not None and not error.message:
        return False
    if status == 401 or not error.message or _PERMISSION.match(error.message.lower()):
        return True
    return error.code is None and refusal_code(Operation.SUBMIT, status, None, error.message) == "BROKER_ORDER_REJECTED"


def is_about_a_known_thing(code: int | None, message: str) -> bool:
    """Return whether a 404 speaks of an order, position or asset rather than of a path or an account."""
    return bool(_KNOWN_THING.search(message.lower())) and (code is None or code // 100_000 == 404)
