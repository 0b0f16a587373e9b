"""The source ``python``: exceptions of the language and its standard library.

Source: Python 3.11 documentation, "Built-in Exceptions", ``socket``, ``ssl``, ``http.client``, ``json``, ``asyncio``.
"""

import re

from reliability.core.classification import Operation, Proof
from reliability.core.rules import Verdict
from reliability.core.sources.classes import LATE, LOST, MALFORMED, OWN_FAULT, ClassTable, encrypted
from reliability.core.sources.transport import transport_verdict

_EXHAUSTED = Verdict("SYSTEM_RESOURCES_EXHAUSTED", Proof.UNPROVEN)
_FULL = re.compile(
    r"errno (12|23|24|28|99|105|122)\b|too many open files|no space left|cannot allocate memory|no buffer space"
    r"|cannot assign requested address|can't start new thread|quota exceeded"
)
_STOPPED = Verdict("SYSTEM_STOPPED_MIDWAY", Proof.UNPROVEN, vague=True)


def _os_error(_operation: Operation, text: str) -> Verdict:
    if _FULL.search(text):
        return _EXHAUSTED
    return transport_verdict(text) or Verdict(LOST.code, LOST.proof, vague=True)


def _timeout(_operation: Operation, text: str) -> Verdict:
    """Judge a bare timeout: only words that tell of connecting prove that nothing was sent."""
    told = transport_verdict(text)
    if told is not None and told.code == "TIMEOUT_CONNECT":
        return told
    return Verdict(LATE.code, LATE.proof, vague=True)


def _runtime(_operation: Operation, text: str) -> Verdict:
    if _FULL.search(text):
        return _EXHAUSTED
    if "session is closed" in text or "client has been closed" in text:
        return Verdict("SYSTEM_SESSION_CLOSED", Proof.NOT_SENT)
    return transport_verdict(text) or Verdict(OWN_FAULT.code, OWN_FAULT.proof, vague=True)


_BARE = Verdict(OWN_FAULT.code, OWN_FAULT.proof, vague=True)

PYTHON: ClassTable = {
    "exception": _BARE,
    "baseexception": _BARE,
    "exceptiongroup": _BARE,
    "baseexceptiongroup": _BARE,
    "oserror": _os_error,
    "ioerror": _os_error,
    "environmenterror": _os_error,
    "socket.error": _os_error,
    "connectionerror": _os_error,
    "connectionrefusederror": Verdict("NETWORK_CONNECT_REFUSED", Proof.NOT_SENT),
    "connectionreseterror": LOST,
    "connectionabortederror": LOST,
    "brokenpipeerror": LOST,
    "remotedisconnected": LOST,
    "eoferror": LOST,
    "incompletereaderror": LOST,
    "incompleteread": LOST,
    "badstatusline": LOST,
    "linetoolong": MALFORMED,
    "unknowntransferencoding": MALFORMED,
    "unknownprotocol": MALFORMED,
    "httpexception": Verdict(LOST.code, LOST.proof, vague=True),
    "notconnected": Verdict("NETWORK_NOT_CONNECTED", Proof.NOT_SENT),
    "cannotsendrequest": OWN_FAULT,
    "cannotsendheader": OWN_FAULT,
    "responsenotready": OWN_FAULT,
    "improperconnectionstate": OWN_FAULT,
    "timeouterror": _timeout,
    "timeout": _timeout,
    "cancellederror": _STOPPED,
    "keyboardinterrupt": _STOPPED,
    "systemexit": _STOPPED,
    "generatorexit": _STOPPED,
    "gaierror": Verdict("NETWORK_DNS_FAILED", Proof.NOT_SENT),
    "herror": Verdict("NETWORK_DNS_FAILED", Proof.NOT_SENT),
    "sslerror": encrypted,
    "sslcertverificationerror": Verdict("NETWORK_TLS_FAILED", Proof.NOT_SENT),
    "certificateerror": Verdict("NETWORK_TLS_FAILED", Proof.NOT_SENT),
    "sslzeroreturnerror": LOST,
    "ssleoferror": LOST,
    "sslsyscallerror": LOST,
    "sslwantreaderror": LATE,
    "sslwantwriteerror": LATE,
    "jsondecodeerror": MALFORMED,
    "unicodedecodeerror": MALFORMED,
    "unicodeerror": MALFORMED,
    "unicodeencodeerror": OWN_FAULT,
    "memoryerror": _EXHAUSTED,
    "recursionerror": OWN_FAULT,
    "blockingioerror": _EXHAUSTED,
    "runtimeerror": _runtime,
    **dict.fromkeys(
        (
            "arithmeticerror", "assertionerror", "attributeerror", "buffererror", "childprocesserror", "decimalexception",
            "fileexistserror", "filenotfounderror", "indentationerror", "interruptederror", "invalidurl", "limitoverrunerror",
            "notadirectoryerror", "processlookuperror", "pythonfinalizationerror", "taberror", "unicodetranslateerror",
            "floatingpointerror", "importerror", "indexerror", "invalidoperation", "invalidstateerror", "isadirectoryerror",
            "keyerror", "lookuperror", "modulenotfounderror", "nameerror", "notimplementederror", "overflowerror",
            "permissionerror", "referenceerror", "stopasynciteration", "stopiteration", "syntaxerror", "systemerror",
            "typeerror", "unboundlocalerror", "valueerror", "zerodivisionerror",
        ),
        OWN_FAULT,
    ),
}  # fmt: skip
