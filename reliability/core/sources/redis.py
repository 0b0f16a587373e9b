"""The source ``redis``: redis-py's classes and the first words of a server's errors.

A cache that is away is done without; a queue or a lock is tried again. Whether a message or a lock was
taken is open when the connection ended after the command was sent.

Sources:
    redis-py 8.1 ``exceptions.py`` and ``_parsers/base.py``; Redis and Valkey ``server.c``, ``cluster.c`` (error prefixes).
"""

import re

from reliability.core.classification import Operation, Proof, RawFailure
from reliability.core.rule_table import codes_of, text_of
from reliability.core.rules import Verdict
from reliability.core.sources.transport import transport_verdict
from reliability.core.taxonomy import ErrorSeverity, RecoveryStrategy

SOURCE = "redis"
_AWAY = Verdict("SYSTEM_REDIS_UNAVAILABLE", Proof.UNPROVEN)
_NOT_REACHED = Verdict("SYSTEM_REDIS_UNAVAILABLE", Proof.NOT_SENT)
_SLOW = Verdict("SYSTEM_REDIS_TIMEOUT", Proof.UNPROVEN)
_BUSY = Verdict("SYSTEM_REDIS_BUSY", Proof.REFUSED)
_MOVED = Verdict("SYSTEM_REDIS_BUSY", Proof.REFUSED, strategy=RecoveryStrategy.RETRY_IMMEDIATE)
_DOWN = Verdict("SYSTEM_REDIS_UNAVAILABLE", Proof.REFUSED)
_REPLICA = Verdict("SYSTEM_REDIS_READ_ONLY", Proof.REFUSED)
_FULL = Verdict("SYSTEM_REDIS_FULL", Proof.REFUSED)
_LOGIN = Verdict("SYSTEM_REDIS_REFUSED_LOGIN", Proof.REFUSED)
_COMMAND = Verdict("SYSTEM_REDIS_COMMAND_INVALID", Proof.REFUSED)
_HELD = Verdict("SYSTEM_LOCK_HELD", Proof.REFUSED)
_LOST = Verdict("SYSTEM_LOCK_LOST", Proof.UNPROVEN)
_REPLY = Verdict("SYSTEM_REDIS_UNAVAILABLE", Proof.UNPROVEN, strategy=RecoveryStrategy.RETRY_BACKOFF)

# The first word of what the server answered.
_BY_PREFIX = {
    "READONLY": _REPLICA,
    "MISCONF": _REPLICA,
    "NOREPLICAS": _REPLICA,
    "LOADING": _BUSY,
    "BUSY": _BUSY,
    "TRYAGAIN": _BUSY,
    "UNKILLABLE": _BUSY,
    "INPROG": _BUSY,
    "MOVED": _MOVED,
    "ASK": _MOVED,
    "NOSCRIPT": _MOVED,
    "OOM": _FULL,
    "NOAUTH": _LOGIN,
    "WRONGPASS": _LOGIN,
    "NOPERM": _LOGIN,
    "DENIED": _LOGIN,
    "CLUSTERDOWN": _DOWN,
    "MASTERDOWN": _DOWN,
    "UNBLOCKED": _BUSY,
    "EXECABORT": Verdict("SYSTEM_REDIS_BUSY", Proof.REFUSED),
    "WRONGTYPE": _COMMAND,
    "CROSSSLOT": _COMMAND,
    "NOPROTO": _COMMAND,
    "NOGROUP": _COMMAND,
    "BUSYKEY": _COMMAND,
    "BUSYGROUP": Verdict(
        "SYSTEM_REDIS_COMMAND_INVALID", Proof.REFUSED, severity=ErrorSeverity.LOW, strategy=RecoveryStrategy.IGNORE
    ),
    "ERR": _COMMAND,
}
_BY_CLASS = {
    "rediserror": _AWAY,
    "connectionerror": _AWAY,
    "timeouterror": _SLOW,
    "busyloadingerror": _BUSY,
    "maxconnectionserror": Verdict("SYSTEM_REDIS_BUSY", Proof.NOT_SENT),
    "invalidresponse": _REPLY,
    "authenticationerror": _LOGIN,
    "authenticationwrongnumberofargserror": _LOGIN,
    "authorizationerror": _LOGIN,
    "externalauthprovidererror": _LOGIN,
    "nopermissionerror": _LOGIN,
    "readonlyerror": _REPLICA,
    "outofmemoryerror": _FULL,
    "noscripterror": _MOVED,
    "movederror": _MOVED,
    "askerror": _MOVED,
    "tryagainerror": _BUSY,
    "clusterdownerror": _DOWN,
    "masterdownerror": _DOWN,
    "mastererror": _DOWN,
    "clustererror": _DOWN,
    "slotnotcoverederror": _DOWN,
    "masternotfounderror": _NOT_REACHED,
    "slavenotfounderror": _NOT_REACHED,
    "redisclusterexception": _NOT_REACHED,
    "execaborterror": _BUSY,
    "watcherror": Verdict("SYSTEM_REDIS_BUSY", Proof.REFUSED, strategy=RecoveryStrategy.RETRY_IMMEDIATE),
    "clustercrosssloterror": _COMMAND,
    "crossslottransactionerror": _COMMAND,
    "invalidpipelinestack": _COMMAND,
    "moduleerror": _COMMAND,
    "nosuchfieldseterror": _COMMAND,
    "dataerror": Verdict("SYSTEM_REDIS_COMMAND_INVALID", Proof.NOT_SENT),
    "pubsuberror": Verdict("SYSTEM_REDIS_COMMAND_INVALID", Proof.NOT_SENT),
    "responseerror": _COMMAND,
    "lockerror": _HELD,
    "locknotownederror": _LOST,
    "childdeadlockederror": Verdict("SYSTEM_RESOURCES_EXHAUSTED", Proof.NOT_SENT),
    "incorrectpolicytype": _COMMAND,
}
_FIRST_WORD = re.compile(r"\s*-?([A-Z]{3,16})\b")
_LOCK_LOST = re.compile(r"no longer owned|not owned|cannot (release|extend|reacquire)|unlocked lock|has expired")
_OWN_LIMIT = re.compile(r"too many connections|no connection available|max number of clients")


def resolve_redis(raw: RawFailure) -> Verdict | None:
    """Return what a failure of Redis proves, or None for one that is not known."""
    verdict = _judge(raw)
    if verdict is None:
        return None
    if (
        raw.operation is Operation.CACHE
        and verdict.strategy is None
        and verdict.retryable is None
        and verdict.code in _SPARED
    ):
        return Verdict(verdict.code, verdict.proof, strategy=RecoveryStrategy.DEGRADE)
    if verdict is _FULL and raw.operation in (Operation.QUEUE, Operation.LOCK):
        return Verdict(verdict.code, verdict.proof, strategy=RecoveryStrategy.RETRY_BACKOFF)
    return verdict


_SPARED = frozenset({"SYSTEM_REDIS_UNAVAILABLE", "SYSTEM_REDIS_TIMEOUT", "SYSTEM_REDIS_BUSY", "SYSTEM_REDIS_FULL"})


def _judge(raw: RawFailure) -> Verdict | None:
    text = text_of(raw)
    for said in (raw.raw_code, raw.raw_code.partition(":")[2], raw.message):
        match = _FIRST_WORD.match(said)
        if match and match[1] in _BY_PREFIX:
            return _by_answer(match[1], text)
    for code in codes_of(raw.raw_code):
        if code in _BY_CLASS:
            return _narrowed(_BY_CLASS[code], text)
    return None


def _by_answer(prefix: str, text: str) -> Verdict:
    if prefix == "ERR" and _OWN_LIMIT.search(text):
        return Verdict("SYSTEM_REDIS_BUSY", Proof.NOT_SENT)
    if prefix == "ERR" and ("auth" in text or "invalid password" in text or "permission" in text):
        return _LOGIN
    return _BY_PREFIX[prefix]


def _narrowed(verdict: Verdict, text: str) -> Verdict:
    if verdict is _HELD and _LOCK_LOST.search(text):
        return _LOST
    if verdict is _AWAY:
        if _OWN_LIMIT.search(text):
            return Verdict("SYSTEM_REDIS_BUSY", Proof.NOT_SENT)
        if re.search(r"auth|invalid (username|password)", text):
            return _LOGIN
    if verdict in (_AWAY, _SLOW):
        told = transport_verdict(text)
        connecting = re.search(r"error \S+ connecting to|timeout connecting to", text)
        if (told is not None and told.proof is Proof.NOT_SENT) or (
            connecting and (told is None or "reset" not in text)
        ):
            return Verdict(verdict.code, Proof.NOT_SENT)
    return verdict
