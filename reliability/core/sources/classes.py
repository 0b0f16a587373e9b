"""How a source whose raw codes are exception classes is judged: a table of class names."""

import re
from collections.abc import Callable, Mapping

from reliability.core.classification import Operation, Proof, RawFailure
from reliability.core.rule_table import codes_of, text_of
from reliability.core.rules import Resolver, Verdict
from reliability.core.sources.http import judge_answer
from reliability.core.sources.http_body import Body
from reliability.core.sources.transport import never_connected, transport_verdict
from reliability.core.taxonomy import RecoveryStrategy

Judge = Callable[[Operation, str], Verdict]
"""Decides by operation and lower-cased text."""
ClassTable = Mapping[str, Verdict | Judge]
"""Verdicts by class name, lower case, without its module."""

_STATUS = re.compile(
    r"\b([1-5]\d\d) (?:client|server) error|(?:client|server) error '([1-5]\d\d)|^\s*([1-5]\d\d), message="
    r"|too many ([1-5]\d\d) error responses|handshake status ([1-5]\d\d)\b|\bhttp(?: status)?(?: code)?[ :=]*([1-5]\d\d)\b"
)

MISCONFIGURED = Verdict(
    "SYSTEM_ACCOUNT_MISCONFIGURED", Proof.NOT_SENT, retryable=False, strategy=RecoveryStrategy.MANUAL
)
MALFORMED = Verdict("DATA_MALFORMED_REPLY", Proof.UNPROVEN)
LOST = Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN)
LATE = Verdict("TIMEOUT_READ", Proof.UNPROVEN)
LATE_SENDING = Verdict("TIMEOUT_WRITE", Proof.UNPROVEN)
NO_PLACE = Verdict("TIMEOUT_POOL", Proof.NOT_SENT)
OWN_FAULT = Verdict("SYSTEM_ADAPTER_FAILURE", Proof.UNPROVEN)


def resolver_of(table: ClassTable) -> Resolver:
    """Return the resolver of a source with this table; classes that are not in it are not known."""

    def resolve(raw: RawFailure) -> Verdict | None:
        for code in codes_of(raw.raw_code):
            entry = table.get(code)
            if entry is not None:
                return entry if isinstance(entry, Verdict) else entry(raw.operation, text_of(raw))
        return None

    return resolve


def connecting(code: str) -> Judge:
    """Judge a class that says the connection did not come about; the text may say why."""
    return lambda _operation, text: never_connected(text, code)


def told_by_text(vague: Verdict) -> Judge:
    """Judge a class that says little by its text, else as ``vague``, which a wrapped cause may overrule."""
    unclear = Verdict(vague.code, vague.proof, vague.retryable, vague.severity, vague.strategy, vague=True)
    return lambda _operation, text: transport_verdict(text) or unclear


def told_by_status(operation: Operation, text: str) -> Verdict:
    """Judge a class that reports an HTTP status without the body."""
    status = status_in(text)
    return judge_answer(operation, status, Body("")) if status else MALFORMED


def during_handshake(operation: Operation, text: str) -> Verdict:
    """Judge a connection that was turned down by an HTTP status: nothing went over it."""
    status = status_in(text)
    told = judge_answer(operation, status, Body("")) if status else Verdict("BROKER_STREAM_REFUSED", Proof.NOT_SENT)
    code = (
        told.code if told.code.startswith(("AUTH_", "RATE_LIMIT_", "BROKER_", "TIMEOUT_")) else "BROKER_STREAM_REFUSED"
    )
    return Verdict(code, Proof.NOT_SENT)


def through_proxy(_operation: Operation, text: str) -> Verdict:
    """Judge a failure at a proxy: while it was asked for a connection, unless the text tells of one that ended."""
    told = transport_verdict(text)
    if told is not None and told.proof is Proof.UNPROVEN and told.code != "NETWORK_UNREACHABLE":
        return told
    return Verdict("NETWORK_PROXY_FAILED", Proof.NOT_SENT)


def encrypted(_operation: Operation, text: str) -> Verdict:
    """Judge a TLS failure: a refused certificate comes before anything is sent, an alert may come later."""
    told = transport_verdict(text)
    if told is not None:
        return told
    return Verdict("NETWORK_TLS_FAILED", Proof.UNPROVEN)


def status_in(text: str) -> int | None:
    """Return the HTTP status that a library's text names, or None."""
    match = _STATUS.search(text[:2000])
    return int(next(group for group in match.groups() if group)) if match else None
