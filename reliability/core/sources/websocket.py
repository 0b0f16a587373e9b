"""The sources ``websockets`` and ``websocket``: close codes, and the exception classes of both client libraries.

Raw codes are a close code (``1006``), a class, or a class with its text.

Sources:
    RFC 6455, section 7.4; IANA WebSocket Close Code Number Registry (1012-1015, 3000, 3003, 3008);
    websockets 17 ``exceptions.py``; websocket-client 1.9 ``_exceptions.py``.
"""

import re

from reliability.core.classification import Operation, Proof, RawFailure
from reliability.core.rule_table import text_of
from reliability.core.rules import Verdict
from reliability.core.sources.classes import (
    LATE,
    MALFORMED,
    MISCONFIGURED,
    OWN_FAULT,
    ClassTable,
    connecting,
    during_handshake,
    resolver_of,
    through_proxy,
)
from reliability.core.sources.transport import transport_verdict
from reliability.core.taxonomy import ErrorSeverity, RecoveryStrategy
from reliability.core.wording import find_phrase

_CODE = re.compile(r"(?:close[ _:=]*|code[ _:=]*)?(\d{4})(?:[ :/(].*)?", re.DOTALL | re.IGNORECASE)
_RECEIVED = re.compile(r"\b(?:received|rcvd|code[ _:=]+|close[d]?[ _:=]+)\D{0,12}(\d{4})\b")
_SENT = re.compile(r"\b(?:sent)\s+(\d{4})\b")
_SILENT = re.compile(r"ping timeout|ping/pong timed out|pong|keepalive|no heartbeat")
_CLOSES = {
    1000: Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN, severity=ErrorSeverity.LOW),
    1001: Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN),
    1002: Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN, strategy=RecoveryStrategy.RETRY_BACKOFF),
    1003: MALFORMED,
    1005: Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN),
    1006: Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN),
    1007: MALFORMED,
    1008: Verdict("BROKER_STREAM_REFUSED", Proof.UNPROVEN),
    1009: Verdict("DATA_MALFORMED_REPLY", Proof.UNPROVEN),
    1010: Verdict("BROKER_STREAM_REFUSED", Proof.UNPROVEN, retryable=False),
    1011: Verdict("BROKER_SERVER_ERROR", Proof.UNPROVEN),
    1012: Verdict("BROKER_UNAVAILABLE", Proof.UNPROVEN, strategy=RecoveryStrategy.RETRY_BACKOFF),
    1013: Verdict("BROKER_OVERLOADED", Proof.UNPROVEN, strategy=RecoveryStrategy.RETRY_BACKOFF),
    1014: Verdict("BROKER_UNAVAILABLE", Proof.UNPROVEN),
    1015: Verdict("NETWORK_TLS_FAILED", Proof.NOT_SENT),
    3000: Verdict("AUTH_INVALID_CREDENTIALS", Proof.UNPROVEN),
    3003: Verdict("AUTH_FORBIDDEN", Proof.UNPROVEN),
    3008: Verdict("NETWORK_STREAM_SILENT", Proof.UNPROVEN),
}

_STATES = frozenset({"BROKER_MAINTENANCE", "BROKER_OVERLOADED", "BROKER_UNAVAILABLE"})


def resolve_websocket(raw: RawFailure) -> Verdict | None:
    """Return what the end of a websocket, or of the attempt to open one, proves."""
    text = text_of(raw)
    match = _CODE.fullmatch(raw.raw_code.strip())
    if match:
        return judge_close(int(match[1]), text)
    return _resolve_class(raw)


def judge_close(code: int, text: str) -> Verdict:
    """Return what a close code with its reason (lower case) means; nothing sent before is proven refused."""
    if _SILENT.search(text):
        return Verdict("NETWORK_STREAM_SILENT", Proof.UNPROVEN)
    known = _CLOSES.get(code)
    if known is not None and code not in (1000, 1001, 1005, 1008, 1011):
        return known
    phrase = find_phrase(text)
    if phrase is not None and (phrase.code in _STATES or phrase.code.startswith(("AUTH_", "RATE_LIMIT_"))):
        return Verdict(phrase.code, Proof.UNPROVEN)
    if known is not None:
        return known
    if 4000 <= code <= 4999:
        return Verdict("BROKER_STREAM_REFUSED", Proof.UNPROVEN)
    return Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN)


def _closed(_operation: Operation, text: str) -> Verdict:
    match = _RECEIVED.search(text) or _SENT.search(text)
    return judge_close(int(match[1]) if match else 1006, text)


def _closed_well(_operation: Operation, text: str) -> Verdict:
    match = _RECEIVED.search(text) or _SENT.search(text)
    return judge_close(int(match[1]) if match else 1000, text)


def _in_general(_operation: Operation, text: str) -> Verdict:
    match = _RECEIVED.search(text)
    if match:
        return judge_close(int(match[1]), text)
    return transport_verdict(text) or Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN, vague=True)


def _timed_out(operation: Operation, text: str) -> Verdict:
    if _SILENT.search(text):
        return Verdict("NETWORK_STREAM_SILENT", Proof.UNPROVEN)
    told = transport_verdict(text)
    if told is not None and told.code == "TIMEOUT_CONNECT":
        return told
    return Verdict("NETWORK_STREAM_SILENT", Proof.UNPROVEN) if operation is Operation.STREAM else LATE


CLASSES: ClassTable = {
    # websockets
    "websocketexception": _in_general,
    "connectionclosed": _closed,
    "connectionclosederror": _closed,
    "connectionclosedok": _closed_well,
    "invalidhandshake": during_handshake,
    "aborthandshake": during_handshake,
    "redirecthandshake": during_handshake,
    "invalidstatus": during_handshake,
    "invalidstatuscode": during_handshake,
    **dict.fromkeys(
        (
            "invalidmessage", "invalidheader", "invalidheaderformat", "invalidheadervalue", "invalidorigin", "invalidupgrade",
            "invalidmethod", "invalidprotocol", "negotiationerror", "duplicateparameter", "invalidparametername",
            "invalidparametervalue", "securityerror", "headerlinetoolong", "requestlinetoolong", "statuslinetoolong",
            "toomanyheaders",
        ),
        Verdict("BROKER_STREAM_REFUSED", Proof.NOT_SENT),
    ),
    "proxyerror": through_proxy,
    "invalidproxymessage": through_proxy,
    "invalidproxystatus": through_proxy,
    "invalidproxy": MISCONFIGURED,
    "invaliduri": MISCONFIGURED,
    "invalidstate": OWN_FAULT,
    "concurrencyerror": OWN_FAULT,
    "payloadtoobig": MALFORMED,
    "toomanyfragments": MALFORMED,
    "protocolerror": Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN, strategy=RecoveryStrategy.RETRY_BACKOFF),
    "websocketprotocolerror": Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN, strategy=RecoveryStrategy.RETRY_BACKOFF),
    # websocket-client
    "websocketprotocolexception": Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN, strategy=RecoveryStrategy.RETRY_BACKOFF),
    "websocketpayloadexception": MALFORMED,
    "websocketconnectionclosedexception": _closed,
    "websockettimeoutexception": _timed_out,
    "websocketproxyexception": through_proxy,
    "websocketbadstatusexception": during_handshake,
    "websocketaddressexception": connecting("NETWORK_DNS_FAILED"),
    # of the language, as both raise them
    "timeouterror": _timed_out,
}  # fmt: skip
_resolve_class = resolver_of(CLASSES)
