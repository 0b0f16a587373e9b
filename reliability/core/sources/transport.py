"""What the text of a transport failure proves, for classes that libraries raise both before and after sending.

Sources:
    requests 2.34, urllib3 2.8, httpx 0.28, httpcore 1.0, aiohttp 3.14 (texts of their exceptions); errno of POSIX,
    WinSock and Rust's standard library.
"""

import re

from reliability.core.classification import Proof
from reliability.core.rules import Verdict

# A connection that was there and ended, or an answer that was waited for: it may have been carried out.
_LATE = re.compile(r"read timed out|readtimeout|read timeout=|timed out waiting for (a )?(response|answer|reply)")
_LOST = re.compile(
    r"reset by peer|connection (was |has been )?(reset|aborted|lost|broken|terminated|closed)|connectionreset|broken ?pipe"
    r"|remote ?(end|host)? ?(closed|disconnected)|server (unexpectedly )?(disconnected|closed)|without (sending|response)"
    r"|errno (104|32|54|103)\b|winerror 1005[34]|\(os error (104|32|54)\)|eof occurred|unexpected eof|bad record"
    r"|incomplete ?read|incomplete message|payload is not completed|peer closed|badstatusline|closing transport|connection aborted"
)
# Nothing can have been sent: there was no connection.
_BEFORE = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (
            r"certificate.?verify.?failed|hostname.{0,10}mismatch|doesn't match|wrong.version.number|handshake.?failure"
            r"|unsupported.protocol|self[- ]signed certificate|certificate has expired|alert.protocol.version|unrecognized.name"
            r"|no.protocols.available|no.shared.cipher|no.ciphers.available|no.application.protocol|inappropriate.fallback",
            "NETWORK_TLS_FAILED",
        ),
        (r"cannot connect to proxy|tunnel connection failed|proxy connection failed", "NETWORK_PROXY_FAILED"),
        (
            r"getaddrinfo failed|name or service not known|nodename nor servname|failed to resolve|nameresolutionerror"
            r"|temporary failure in name resolution|no address associated with hostname|dns lookup failed|domain name not found",
            "NETWORK_DNS_FAILED",
        ),
        (
            r"connect ?timeout|connection timeout to host|connect(ion)? timed out to|timed out.{0,20}connect(ing)?\b"
            r"|connect(ion)? to \S+ timed out|timed out during (the )?(opening |tls |ssl )?handshake|handshake (operation )?timed out",
            "TIMEOUT_CONNECT",
        ),
        (
            r"connection refused|connect call failed|actively refused|connectionrefusederror|errno (111|61)\b|winerror 10061"
            r"|\(os error (111|61)\)",
            "NETWORK_CONNECT_REFUSED",
        ),
        (
            r"newconnectionerror|failed to establish a new connection|cannot connect to host|all connection attempts failed",
            "NETWORK_UNREACHABLE",
        ),
    )
)
_UNREACHABLE = re.compile(r"network is unreachable|no route to host|host is unreachable|errno (101|113)\b")
_TIMEOUT = re.compile(r"timed? ?-?out|deadline exceeded")


def transport_verdict(text: str) -> Verdict | None:
    """Return what lower-cased ``text`` proves, or None when it tells of no transport.

    Whatever tells of a connection that existed outweighs what tells of one that did not come about:
    both together may be two attempts, of which the first arrived.
    """
    if _LATE.search(text):
        return Verdict("TIMEOUT_READ", Proof.UNPROVEN)
    if _LOST.search(text):
        return Verdict("NETWORK_CONNECTION_LOST", Proof.UNPROVEN)
    for pattern, code in _BEFORE:
        if pattern.search(text):
            return Verdict(code, Proof.NOT_SENT)
    if _UNREACHABLE.search(text):
        return Verdict("NETWORK_UNREACHABLE", Proof.UNPROVEN)  # a connection that existed can end like this too
    if _TIMEOUT.search(text):
        return Verdict("TIMEOUT_READ", Proof.UNPROVEN)
    return None


def never_connected(text: str, code: str) -> Verdict:
    """Return the verdict of a class that tells of a connection that did not come about; ``code`` unless ``text`` is narrower."""
    told = transport_verdict(text)
    if told is not None and (told.proof is Proof.NOT_SENT or told.code == "NETWORK_UNREACHABLE"):
        return Verdict(told.code, Proof.NOT_SENT)
    return Verdict(code, Proof.NOT_SENT)
