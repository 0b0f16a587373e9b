"""What an exception of a client library proves about whether anything was sent, from its name and text alone.

Sources:
    aiohttp 3.14, requests 2.34 and urllib3 2 source (exception classes and the texts of wrapped causes);
    errno names of POSIX.
"""

import re

from brokers.adapters.failures.verdicts import not_sent, unproven
from reliability.core.rules import Proof, Verdict
from reliability.core.taxonomy import RecoveryStrategy

_CLASSES_BEFORE_SENDING = {
    "connectionrefusederror": "NETWORK_CONNECT_REFUSED",
    "gaierror": "NETWORK_DNS_FAILED",
    "nameresolutionerror": "NETWORK_DNS_FAILED",
    "clientconnectordnserror": "NETWORK_DNS_FAILED",
    "connecttimeout": "TIMEOUT_CONNECT",
    "connecttimeouterror": "TIMEOUT_CONNECT",
    "connectiontimeouterror": "TIMEOUT_CONNECT",
    "pooltimeout": "TIMEOUT_CONNECT",
    "newconnectionerror": "NETWORK_UNREACHABLE",
    "clientconnectorerror": "NETWORK_UNREACHABLE",
    "clientproxyconnectionerror": "NETWORK_UNREACHABLE",
    "connecterror": "NETWORK_UNREACHABLE",
    "clientconnectorsslerror": "NETWORK_TLS_FAILED",
    "clientconnectorcertificateerror": "NETWORK_TLS_FAILED",
    "sslcertverificationerror": "NETWORK_TLS_FAILED",
}
_CLASSES_BAD_ADDRESS = frozenset({"invalidurl", "missingschema", "invalidschema", "invalidheader", "invalidproxyurl"})
_CLASSES_AFTERWARDS = {
    "readtimeout": "TIMEOUT_READ",
    "readtimeouterror": "TIMEOUT_READ",
    "writetimeout": "TIMEOUT_READ",
    "timeout": "TIMEOUT_READ",
    "timeouterror": "TIMEOUT_READ",
    "sockettimeouterror": "TIMEOUT_READ",
    "servertimeouterror": "TIMEOUT_READ",
    "cancellederror": "TIMEOUT_READ",
    "jsondecodeerror": "DATA_MALFORMED_REPLY",
    "chunkedencodingerror": "DATA_MALFORMED_REPLY",
    "contentdecodingerror": "DATA_MALFORMED_REPLY",
    "clientpayloaderror": "DATA_MALFORMED_REPLY",
    "contenttypeerror": "DATA_MALFORMED_REPLY",
    "toomanyredirects": "DATA_MALFORMED_REPLY",
    "connectionerror": "NETWORK_CONNECTION_LOST",
    "connectionreseterror": "NETWORK_CONNECTION_LOST",
    "connectionabortederror": "NETWORK_CONNECTION_LOST",
    "brokenpipeerror": "NETWORK_CONNECTION_LOST",
    "protocolerror": "NETWORK_CONNECTION_LOST",
    "remotedisconnected": "NETWORK_CONNECTION_LOST",
    "serverdisconnectederror": "NETWORK_CONNECTION_LOST",
    "clientoserror": "NETWORK_CONNECTION_LOST",
    "clientconnectionerror": "NETWORK_CONNECTION_LOST",
    "clientconnectionreseterror": "NETWORK_CONNECTION_LOST",
    "incompleteread": "NETWORK_CONNECTION_LOST",
    "sslerror": "NETWORK_CONNECTION_LOST",
    "proxyerror": "NETWORK_CONNECTION_LOST",
    "oserror": "NETWORK_CONNECTION_LOST",
    "eoferror": "NETWORK_CONNECTION_LOST",
}
_GENERAL_CLASSES = frozenset(
    {
        "connectionerror",
        "maxretryerror",
        "oserror",
        "timeout",
        "timeouterror",
        "cancellederror",
        "clientconnectionerror",
    }
)
# A text is proof only where it tells of making the connection.
_TEXTS_BEFORE_SENDING = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (
            r"certificate.?verify.?failed|hostname mismatch|sslv3.alert.handshake|wrong.version.number",
            "NETWORK_TLS_FAILED",
        ),
        (
            r"getaddrinfo failed|name or service not known|nodename nor servname|failed to resolve"
            r"|temporary failure in name resolution|no address associated with hostname|nameresolutionerror",
            "NETWORK_DNS_FAILED",
        ),
        (r"connecttimeouterror|connect timeout=|connection timeout to host|connect timed out", "TIMEOUT_CONNECT"),
        (
            r"connection refused|connect call failed|actively refused|errno 111\b|winerror 10061|\(os error 111\)",
            "NETWORK_CONNECT_REFUSED",
        ),
        (r"network is unreachable|no route to host|errno 101\b|errno 113\b", "NETWORK_UNREACHABLE"),
        (r"newconnectionerror|cannot connect to (host|proxy)", "NETWORK_UNREACHABLE"),
    )
)
_LOST = re.compile(
    r"connection (was )?(reset|aborted|closed|lost|broken)|broken pipe|remote end closed|disconnected"
    r"|errno (104|32)\b|winerror 1005[34]|eof occurred|bad record|\(os error (104|32)\)"
)
_LATE = re.compile(r"read timed out|timed? ?out|deadline exceeded")


def short_name(name: str) -> str:
    """Return a class name without its module, in lower case: ``requests.exceptions.ReadTimeout`` -> ``readtimeout``."""
    return re.split(r"[.:\s]", re.sub(r"[:(\s].*$", "", name.strip(), flags=re.DOTALL))[-1].lower()


def judge_exception(name: str, text: str = "") -> Verdict | None:
    """Return what an exception proves, or None for one that is not of a transport.

    A class that says the connection was never made is proof. A text is proof only for classes that
    the libraries use for both, and only when nothing in it tells of a connection that was there.
    """
    name, text = short_name(name), text.lower()
    if name in _CLASSES_BAD_ADDRESS:
        return not_sent("SYSTEM_ACCOUNT_MISCONFIGURED", retryable=False, strategy=RecoveryStrategy.MANUAL)
    known = name in _CLASSES_BEFORE_SENDING or name in _CLASSES_AFTERWARDS or name in ("maxretryerror", "oserror")
    if not known:
        return None
    lost, before = _LOST.search(text), _code_before_sending(text)
    if name in _CLASSES_BEFORE_SENDING and not lost:
        return not_sent(_narrowest(_CLASSES_BEFORE_SENDING[name], before))
    if before and not lost and not re.search(r"read timed out|readtimeout", text):
        return not_sent(before)
    if name in _CLASSES_AFTERWARDS:
        late = _LATE.search(text) and _CLASSES_AFTERWARDS[name] == "NETWORK_CONNECTION_LOST" and not lost
        return unproven("TIMEOUT_READ" if late else _CLASSES_AFTERWARDS[name])
    return unproven("NETWORK_CONNECTION_LOST")


def judge_causes(causes: tuple[tuple[str, str], ...]) -> Verdict | None:
    """Return what the wrapped exceptions prove together, or None when they are not of a transport.

    One that tells of a connection that was there outweighs all others, which may be of another attempt;
    then the outermost precise class decides, and a general one only where there is no other.
    """
    judged = [
        (short_name(name), text.lower(), verdict)
        for name, text in causes
        if (verdict := judge_exception(name, text)) is not None
    ]
    precise = [verdict for name, _, verdict in judged if name not in _GENERAL_CLASSES]
    for name, text, verdict in judged:
        if verdict.proof is Proof.UNPROVEN and (name not in _GENERAL_CLASSES or _LOST.search(text)):
            return verdict
    return next(iter(precise or [verdict for _, _, verdict in judged]), None)


def _code_before_sending(text: str) -> str:
    for pattern, code in _TEXTS_BEFORE_SENDING:
        if pattern.search(text):
            return code
    return ""


def _narrowest(code: str, by_text: str) -> str:
    return by_text if code == "NETWORK_UNREACHABLE" and by_text else code
