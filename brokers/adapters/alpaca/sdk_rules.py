"""What the exceptions of alpaca-py prove.

``APIError`` carries the body as its text and loses the status unless asked for it; its ``code`` and
``message`` properties raise ``KeyError``, ``JSONDecodeError`` or ``TypeError`` when the body is not the
JSON they expect; exceptions of ``requests`` pass through; ``pydantic`` raises before a request leaves
and after a reply came, which only the name of the model tells apart.

Source:
    alpaca-py 0.44.0: alpaca/common/exceptions.py, alpaca/common/rest.py, alpaca/trading/requests.py,
    alpaca/trading/stream.py, alpaca/data/live/websocket.py.
"""

import re

from brokers.adapters.alpaca.refusals import known_reason
from brokers.adapters.alpaca.rules import error_body, judge_reply
from brokers.adapters.alpaca.stream_rules import resolve_stream
from brokers.adapters.failures.bodies import (
    ErrorBody,
    as_code,
    find_body,
    find_page_status,
    find_status,
    is_page,
    read_body,
)
from brokers.adapters.failures.transport import judge_causes, judge_exception, short_name
from brokers.adapters.failures.verdicts import EFFECTFUL, not_sent, unproven
from reliability.core.classification import Operation, RawFailure
from reliability.core.rules import Verdict
from reliability.core.taxonomy import RecoveryStrategy

SOURCE = "alpaca_sdk"
_UNREADABLE = frozenset({"keyerror", "jsondecodeerror", "typeerror", "attributeerror", "unicodedecodeerror"})
_CHECKED_BEFORE_SENDING = re.compile(
    r"must be greater than 0|(is|are) required|must be provided|can ?not be set|only supports? |not supported for"
    r"|must supply a method|must be a uuid|at most \d+ legs|must have unique|either .* must be|date range is limited"
)
_CREDENTIALS = re.compile(r"method of authentication|oauth_token|api_key|secret_key|basic auth")
_MODEL = re.compile(r"validation errors? for (?P<model>\w+)")
_STREAMS = frozenset({Operation.STREAM, Operation.CONNECT, Operation.DATA})


def resolve_sdk(raw: RawFailure) -> Verdict | None:
    """Return what an exception of the SDK proves; the raw code is its class, qualified or not."""
    name = short_name(raw.raw_code)
    if name in ("apierror", "httperror"):
        return _api_error(raw)
    if name == "retryexception":
        return _retry(raw)
    if name == "validationerror":
        return _model_error(raw)
    if name == "valueerror":
        return _value_error(raw)
    if name in _UNREADABLE:
        return unproven("DATA_MALFORMED_REPLY")
    known = judge_causes(raw.causes) or judge_exception(raw.raw_code, raw.message)
    if known is not None:
        return known
    return resolve_stream(raw) if name.startswith(("connectionclosed", "invalidstatus", "websocket")) else None


def _api_error(raw: RawFailure) -> Verdict:
    body = None if is_page(raw.message) else find_body(raw.message)
    body = body or error_body(raw.message)
    status = raw.http_status or _named_status(raw) or _implied_status(body)
    if status is None and raw.operation not in EFFECTFUL and body.is_json and known_reason(body.message):
        status = 403  # the status is lost, the reason is not; where nothing can have happened, it may decide
    if status is None:
        return unproven("DATA_MALFORMED_REPLY")
    return judge_reply(raw.operation, status, body)


def _named_status(raw: RawFailure) -> int | None:
    match = re.search(r"\b([1-5][0-9]{2})\b", raw.raw_code)
    return (
        int(match.group(1))
        if match
        else (find_status(raw.message) or _client_error(raw.message) or find_page_status(raw.message))
    )


def _client_error(text: str) -> int | None:
    """Return the status in the text of ``requests.HTTPError``: ``403 Client Error: Forbidden for url: ...``."""
    match = re.match(r"\s*([45][0-9]{2}) (Client|Server) Error", text)
    return int(match.group(1)) if match else None


def _implied_status(body: ErrorBody) -> int | None:
    """Return the status that Alpaca's own code (40310000) or words imply when the SDK lost the real one."""
    status = (as_code(body.code) or 0) // 100_000
    if 400 <= status < 600:
        return status
    words = body.message.lower().strip(" .")
    if body.is_json and words in ("forbidden", "access denied"):
        return 403
    if body.is_json and words in ("unauthorized", "not authorized", "request is not authorized"):
        return 401
    return None


def _retry(raw: RawFailure) -> Verdict:
    """Judge the SDK's own signal to send again: 429 and 504 alike raise it, so it proves nothing by itself."""
    status = raw.http_status or find_status(raw.message)
    return judge_reply(raw.operation, 429 if status == 429 else 504, read_body(""))


def _model_error(raw: RawFailure) -> Verdict:
    model = _MODEL.search(raw.message)
    if model and model["model"].lower().endswith(("request", "leg")):
        return _never_sent("VALIDATION_INVALID_ORDER" if raw.operation in EFFECTFUL else "VALIDATION_INVALID_REQUEST")
    return unproven("DATA_MALFORMED_REPLY")


def _value_error(raw: RawFailure) -> Verdict | None:
    text = raw.message.lower()
    if raw.operation in _STREAMS and (stream := resolve_stream(raw)):
        return stream
    if _CREDENTIALS.search(text) and "must" in text:
        return _never_sent("SYSTEM_ACCOUNT_MISCONFIGURED")
    if _CHECKED_BEFORE_SENDING.search(text):
        return _never_sent("VALIDATION_INVALID_ORDER" if raw.operation in EFFECTFUL else "VALIDATION_INVALID_REQUEST")
    return unproven("DATA_MALFORMED_REPLY")


def _never_sent(code: str) -> Verdict:
    return not_sent(code, retryable=False, strategy=RecoveryStrategy.MANUAL)
