"""The sources ``requests``, ``httpx``, ``urllib3`` and ``aiohttp``: every exception class of their current releases.

Sources:
    requests 2.34 ``requests/exceptions.py``; httpx 0.28 ``_exceptions.py`` and httpcore 1.0 ``_exceptions.py``;
    urllib3 2.8 ``exceptions.py``; aiohttp 3.14 ``client_exceptions.py``.
"""

from reliability.core.classification import Operation, Proof
from reliability.core.rules import Verdict
from reliability.core.sources.classes import (
    LATE,
    LATE_SENDING,
    LOST,
    MALFORMED,
    MISCONFIGURED,
    NO_PLACE,
    OWN_FAULT,
    ClassTable,
    connecting,
    during_handshake,
    encrypted,
    through_proxy,
    told_by_status,
    told_by_text,
)

_UNSENDABLE = Verdict("VALIDATION_INVALID_REQUEST", Proof.NOT_SENT)


def _given_up(operation: Operation, text: str) -> Verdict:
    """Judge the end of urllib3's own attempts: by the status that was met each time, or by the last failure."""
    if "error responses" in text:
        return Verdict(told_by_status(operation, text).code, Proof.UNPROVEN)
    return told_by_text(LOST)(operation, text)


REQUESTS: ClassTable = {
    "requestexception": told_by_text(LOST),
    "basehttperror": told_by_text(LOST),
    "invalidjsonerror": _UNSENDABLE,
    "jsondecodeerror": MALFORMED,
    "compatjsondecodeerror": MALFORMED,
    "httperror": told_by_status,
    "connectionerror": told_by_text(LOST),
    "proxyerror": through_proxy,
    "sslerror": encrypted,
    "timeout": told_by_text(LATE),
    "connecttimeout": connecting("TIMEOUT_CONNECT"),
    "readtimeout": LATE,
    "urlrequired": MISCONFIGURED,
    "toomanyredirects": MALFORMED,
    "missingschema": MISCONFIGURED,
    "invalidschema": MISCONFIGURED,
    "invalidurl": MISCONFIGURED,
    "invalidheader": MISCONFIGURED,
    "invalidproxyurl": MISCONFIGURED,
    "chunkedencodingerror": LOST,
    "contentdecodingerror": MALFORMED,
    "streamconsumederror": OWN_FAULT,
    "retryerror": lambda operation, text: Verdict(told_by_status(operation, text).code, Proof.UNPROVEN),
    "unrewindablebodyerror": OWN_FAULT,
}

HTTPX: ClassTable = {
    "httperror": told_by_text(LOST),
    "requesterror": told_by_text(LOST),
    "transporterror": told_by_text(LOST),
    "timeoutexception": told_by_text(LATE),
    "connecttimeout": connecting("TIMEOUT_CONNECT"),
    "readtimeout": LATE,
    "writetimeout": LATE_SENDING,
    "pooltimeout": NO_PLACE,
    "networkerror": told_by_text(LOST),
    "readerror": LOST,
    "writeerror": LOST,
    "closeerror": LOST,
    "connecterror": connecting("NETWORK_UNREACHABLE"),
    "proxyerror": through_proxy,
    "unsupportedprotocol": MISCONFIGURED,
    "protocolerror": LOST,
    "localprotocolerror": OWN_FAULT,
    "remoteprotocolerror": LOST,
    "decodingerror": MALFORMED,
    "toomanyredirects": MALFORMED,
    "httpstatuserror": told_by_status,
    "invalidurl": MISCONFIGURED,
    "cookieconflict": OWN_FAULT,
    "streamerror": OWN_FAULT,
    "streamconsumed": OWN_FAULT,
    "streamclosed": OWN_FAULT,
    "responsenotread": OWN_FAULT,
    "requestnotread": OWN_FAULT,
    "connectionnotavailable": NO_PLACE,
}

URLLIB3: ClassTable = {
    "httperror": told_by_text(LOST),
    "poolerror": told_by_text(LOST),
    "requesterror": told_by_text(LOST),
    "sslerror": encrypted,
    "proxyerror": through_proxy,
    "decodeerror": MALFORMED,
    "protocolerror": LOST,
    "maxretryerror": _given_up,
    "hostchangederror": MISCONFIGURED,
    "timeoutstateerror": OWN_FAULT,
    "timeouterror": told_by_text(LATE),
    "readtimeouterror": LATE,
    "connecttimeouterror": connecting("TIMEOUT_CONNECT"),
    "newconnectionerror": connecting("NETWORK_UNREACHABLE"),
    "nameresolutionerror": Verdict("NETWORK_DNS_FAILED", Proof.NOT_SENT),
    "emptypoolerror": NO_PLACE,
    "fullpoolerror": NO_PLACE,
    "closedpoolerror": Verdict("SYSTEM_SESSION_CLOSED", Proof.NOT_SENT),
    "locationvalueerror": MISCONFIGURED,
    "locationparseerror": MISCONFIGURED,
    "urlschemeunknown": MISCONFIGURED,
    "proxyschemeunknown": MISCONFIGURED,
    "proxyschemeunsupported": MISCONFIGURED,
    "responseerror": lambda operation, text: Verdict(told_by_status(operation, text).code, Proof.UNPROVEN),
    "responsenotchunked": MALFORMED,
    "bodynothttplibcompatible": MALFORMED,
    "incompleteread": LOST,
    "invalidchunklength": LOST,
    "invalidheader": MALFORMED,
    "headerparsingerror": MALFORMED,
    "unrewindablebodyerror": OWN_FAULT,
}

AIOHTTP: ClassTable = {
    "clienterror": told_by_text(LOST),
    "clientresponseerror": told_by_status,
    "contenttypeerror": MALFORMED,
    "wsserverhandshakeerror": during_handshake,
    "clienthttpproxyerror": through_proxy,
    "toomanyredirects": MALFORMED,
    "clientconnectionerror": told_by_text(LOST),
    "clientconnectionreseterror": LOST,
    "clientoserror": told_by_text(LOST),
    "clientconnectorerror": connecting("NETWORK_UNREACHABLE"),
    "clientconnectordnserror": Verdict("NETWORK_DNS_FAILED", Proof.NOT_SENT),
    "clientproxyconnectionerror": Verdict("NETWORK_PROXY_FAILED", Proof.NOT_SENT),
    "clientsslerror": connecting("NETWORK_TLS_FAILED"),
    "clientconnectorsslerror": connecting("NETWORK_TLS_FAILED"),
    "clientconnectorcertificateerror": Verdict("NETWORK_TLS_FAILED", Proof.NOT_SENT),
    "unixclientconnectorerror": connecting("NETWORK_UNREACHABLE"),
    "serverfingerprintmismatch": Verdict("NETWORK_TLS_FAILED", Proof.NOT_SENT),
    "serverconnectionerror": told_by_text(LOST),
    "serverdisconnectederror": LOST,
    "servertimeouterror": told_by_text(LATE),
    "connectiontimeouterror": connecting("TIMEOUT_CONNECT"),
    "sockettimeouterror": LATE,
    "clientpayloaderror": LOST,
    "uploadabortederror": LOST,
    "eofstream": LOST,
    "invalidurl": MISCONFIGURED,
    "invalidurlclienterror": MISCONFIGURED,
    "nonhttpurlclienterror": MISCONFIGURED,
    "redirectclienterror": MALFORMED,
    "invalidurlredirectclienterror": MALFORMED,
    "nonhttpurlredirectclienterror": MALFORMED,
    "websocketerror": Verdict("NETWORK_STREAM_CLOSED", Proof.UNPROVEN),
    "wsmessagetypeerror": MALFORMED,
}
