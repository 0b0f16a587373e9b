"""The source ``http``: status and body of any broker that speaks HTTP, and of whoever stands in front of it.

Raw codes are ``status`` or ``status/broker code``; the message is the body or the message inside it.

Sources:
    RFC 9110 (status codes), RFC 6585 (428, 429, 431, 511), RFC 8470 (425); nginx ``ngx_http_request.h`` (444, 494-499);
    Cloudflare, "Cloudflare 5xx errors" (520-530); IANA HTTP Status Code Registry.
"""

import re

from reliability.core.classification import Operation, Proof, RawFailure
from reliability.core.rules import Verdict
from reliability.core.sources.http_body import Body, read_body
from reliability.core.taxonomy import RecoveryStrategy
from reliability.core.wording import find_phrase

SOURCE = "http"
_CODE = re.compile(r"(?:http[ /]*)?([1-5]\d\d)(?:/(.*))?", re.DOTALL | re.IGNORECASE)
_ORDER_ENTRY = frozenset({Operation.SUBMIT, Operation.MODIFY})

_GATEWAY_TIMEOUTS = frozenset({408, 504, 522, 524, 598, 599})
_UNAVAILABLE = frozenset({502, 503, 520, 521, 523, 525, 526, 527, 530})
_OVERLOADED = frozenset({509, 529})
_THROTTLED = frozenset({418, 420, 429})
_LOST = frozenset({444, 499, 460})
_TLS = frozenset({495, 496})
# Not begun by the definition of the status, whoever says it.
_NOT_BEGUN = frozenset({421, 425})
# A read settles it; the same is not sent again.
_EXISTS = Verdict("BROKER_DUPLICATE_CLIENT_ORDER_ID", Proof.EXISTS, retryable=False, strategy=RecoveryStrategy.IGNORE)
_REFUSED_WITHOUT_WORDS = {401: "AUTH_INVALID_CREDENTIALS", 403: "AUTH_FORBIDDEN"}
_BY_STATUS = {
    401: "AUTH_INVALID_CREDENTIALS",
    402: "AUTH_NOT_ENTITLED",
    403: "AUTH_FORBIDDEN",
    404: "VALIDATION_NOT_FOUND",
    405: "VALIDATION_METHOD_NOT_ALLOWED",
    406: "VALIDATION_NOT_ACCEPTABLE",
    409: "BROKER_CONFLICT",
    412: "BROKER_CONFLICT",
    413: "VALIDATION_BODY_TOO_LARGE",
    415: "VALIDATION_UNSUPPORTED_MEDIA_TYPE",
    423: "BROKER_CONFLICT",
    440: "AUTH_SESSION_EXPIRED",
    451: "AUTH_ACCOUNT_RESTRICTED",
    498: "AUTH_SESSION_EXPIRED",
}


def resolve_http(raw: RawFailure) -> Verdict | None:
    """Return what an answer proves, or None for a raw code that is no HTTP status."""
    match = _CODE.fullmatch(raw.raw_code.strip())
    status = raw.http_status if raw.http_status is not None else int(match[1]) if match else None
    if status is None or not 100 <= status <= 599:
        return None
    return judge_answer(raw.operation, status, read_body(raw.message, (match[2] or "") if match else ""))


def judge_answer(operation: Operation, status: int, body: Body) -> Verdict:
    """Return what an answer with this status and body proves about the operation."""
    if status >= 500:
        return _server_failure(status, body)
    if status in _THROTTLED:
        banned = status == 418 or "banned" in body.text
        return Verdict("RATE_LIMIT_BANNED" if banned and status != 420 else "RATE_LIMIT_EXCEEDED", Proof.REFUSED)
    if status < 400:
        return _false_success(operation, body)
    return _client_failure(operation, status, body)


def _server_failure(status: int, body: Body) -> Verdict:
    """Judge 5xx: whoever failed may have passed it on, or carried it out, before."""
    phrase = find_phrase(body.text)
    told = phrase.code if phrase else ""
    if status == 511:
        return Verdict("NETWORK_PROXY_FAILED", Proof.UNPROVEN)
    if told in ("BROKER_MAINTENANCE", "BROKER_OVERLOADED", "BROKER_DUPLICATE_CLIENT_ORDER_ID"):
        return _EXISTS if told == _EXISTS.code else Verdict(told, Proof.UNPROVEN)
    if status in _GATEWAY_TIMEOUTS:
        return Verdict("TIMEOUT_GATEWAY", Proof.UNPROVEN)
    if status in _OVERLOADED:
        return Verdict("BROKER_OVERLOADED", Proof.UNPROVEN)
    return Verdict("BROKER_UNAVAILABLE" if status in _UNAVAILABLE else "BROKER_SERVER_ERROR", Proof.UNPROVEN)


def _false_success(operation: Operation, body: Body) -> Verdict:
    """Judge an error behind a status that is none: only the broker's own plain words prove anything."""
    if body.is_document and not body.is_page:
        verdict = _by_words(operation, body)
        if verdict is not None:
            return verdict
        if body.denies_success:
            return Verdict(
                "BROKER_ORDER_REJECTED" if operation in _ORDER_ENTRY else "BROKER_SERVER_ERROR", Proof.UNPROVEN
            )
    return Verdict("DATA_MALFORMED_REPLY", Proof.UNPROVEN)


def _client_failure(operation: Operation, status: int, body: Body) -> Verdict:
    if status in _NOT_BEGUN:
        return Verdict("BROKER_UNAVAILABLE", Proof.UNPROVEN if body.is_page else Proof.REFUSED, retryable=True)
    if status == 408:
        return Verdict("TIMEOUT_GATEWAY", Proof.UNPROVEN)
    if status == 407:
        return Verdict("NETWORK_PROXY_FAILED", Proof.NOT_SENT, strategy=RecoveryStrategy.MANUAL)
    if status in _TLS:
        return Verdict("NETWORK_TLS_FAILED", Proof.UNPROVEN)
    if status in _LOST:
        return Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN)
    if body.is_page:
        return _page(status, body)
    verdict = _by_words(operation, body)
    if verdict is not None and (status != 401 or verdict.code.startswith(("AUTH_", "RATE_LIMIT_"))):
        return verdict
    return _without_words(operation, status, body)


def _page(status: int, body: Body) -> Verdict:
    """Judge markup: a proxy wrote it, and whether it passed the request on before is not known."""
    phrase = find_phrase(body.text)
    if phrase is not None and phrase.code.startswith(("RATE_LIMIT_", "BROKER_MAINTENANCE", "BROKER_UNAVAILABLE")):
        return Verdict(phrase.code, Proof.UNPROVEN)
    if status in (401, 403, 451):
        return Verdict("AUTH_INVALID_CREDENTIALS" if status == 401 else "AUTH_FORBIDDEN", Proof.UNPROVEN)
    return Verdict("DATA_MALFORMED_REPLY", Proof.UNPROVEN)


def _by_words(operation: Operation, body: Body) -> Verdict | None:
    """Return what the words say, or None when they say nothing that is known."""
    phrase = find_phrase(body.text)
    if phrase is None:
        return None
    code, proof = phrase.code, phrase.proof
    if code == "BROKER_ORDER_NOT_CANCELABLE" and body.is_document:
        return Verdict(code, Proof.REFUSED, strategy=RecoveryStrategy.IGNORE)  # final, or being filled: a read tells
    if proof is Proof.EXISTS:
        if operation not in _ORDER_ENTRY:
            return Verdict("BROKER_CONFLICT", Proof.UNPROVEN)
        return _EXISTS
    if code == "VALIDATION_INVALID_REQUEST" and operation in _ORDER_ENTRY:
        code = "VALIDATION_INVALID_ORDER"
    return Verdict(code, proof if body.is_document or body.is_plain else Proof.UNPROVEN)


def _without_words(operation: Operation, status: int, body: Body) -> Verdict:
    """Judge a refusal whose words say nothing known: by status, and by whether it is the broker's own document."""
    if status in _REFUSED_WITHOUT_WORDS and (body.is_empty or body.is_document or status == 401):
        return Verdict(_REFUSED_WITHOUT_WORDS[status], Proof.REFUSED)
    code = _BY_STATUS.get(status, "VALIDATION_INVALID_REQUEST")
    if code == "VALIDATION_INVALID_REQUEST" and operation in _ORDER_ENTRY:
        code = "VALIDATION_INVALID_ORDER"
    own_words = body.is_document and body.says_why
    final = status in (400, 402, 405, 406, 410, 411, 413, 414, 415, 416, 417, 422, 426, 428, 431, 440, 451, 498)
    return Verdict(code, Proof.REFUSED if own_words and final else Proof.UNPROVEN)
