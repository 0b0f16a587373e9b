"""The sources ``celery``, ``kombu`` and ``amqp``: messages that could not be published or carried out.

Sources: celery 5.7 ``exceptions.py``; kombu 5.7 ``exceptions.py``; py-amqp 5.4 ``exceptions.py``; billiard 4.2 ``exceptions.py``.
"""

from reliability.core.classification import Operation, Proof
from reliability.core.rules import Verdict
from reliability.core.sources.classes import ClassTable
from reliability.core.sources.transport import transport_verdict

_UNCONFIRMED = Verdict("SYSTEM_QUEUE_UNCONFIRMED", Proof.UNPROVEN)
_AWAY = Verdict("SYSTEM_QUEUE_UNAVAILABLE", Proof.UNPROVEN)
_REFUSED = Verdict("SYSTEM_QUEUE_REFUSED", Proof.REFUSED)
_UNSENDABLE = Verdict("SYSTEM_QUEUE_REFUSED", Proof.NOT_SENT)
_UNREADABLE = Verdict("SYSTEM_UNREADABLE_MESSAGE", Proof.REFUSED)
_FAILED = Verdict("SYSTEM_TASK_FAILED", Proof.UNPROVEN)
_TOO_LONG = Verdict("SYSTEM_JOB_TIMEOUT", Proof.UNPROVEN)
_DIED = Verdict("SYSTEM_WORKER_LOST", Proof.UNPROVEN)
_STOPPING = Verdict("SYSTEM_STOPPED_MIDWAY", Proof.UNPROVEN)


def _connection(_operation: Operation, text: str) -> Verdict:
    told = transport_verdict(text)
    if told is not None and told.proof is Proof.NOT_SENT:
        return Verdict("SYSTEM_QUEUE_UNAVAILABLE", Proof.NOT_SENT)
    return _AWAY if told is None else _UNCONFIRMED


QUEUE: ClassTable = {
    # publishing
    "operationalerror": _connection,
    "connectionerror": _connection,
    "recoverableconnectionerror": _connection,
    "irrecoverableconnectionerror": _connection,
    "connectionforced": _connection,
    "amqperror": _connection,
    "kombuerror": _connection,
    "inconsistencyerror": _connection,
    "resourceerror": _connection,
    "timeouterror": _UNCONFIRMED,
    "batchpublisherror": _UNCONFIRMED,
    "blocked": _AWAY,
    "limitexceeded": Verdict("SYSTEM_QUEUE_UNAVAILABLE", Proof.NOT_SENT),
    "connectionlimitexceeded": Verdict("SYSTEM_QUEUE_UNAVAILABLE", Proof.NOT_SENT),
    "channellimitexceeded": Verdict("SYSTEM_QUEUE_UNAVAILABLE", Proof.NOT_SENT),
    "messagenacked": Verdict("SYSTEM_QUEUE_UNAVAILABLE", Proof.REFUSED),
    "contenttoolarge": Verdict("SYSTEM_MESSAGE_TOO_LARGE", Proof.REFUSED),
    "noconsumers": _REFUSED,
    "resourcelocked": Verdict("SYSTEM_QUEUE_UNAVAILABLE", Proof.REFUSED),
    **dict.fromkeys(
        (
            "accessrefused", "notfound", "preconditionfailed", "notallowed", "amqpnotimplementederror", "invalidcommand",
            "invalidpath", "channelerror", "recoverablechannelerror", "irrecoverablechannelerror", "queuenotfound",
        ),
        _REFUSED,
    ),
    **dict.fromkeys(
        ("encodeerror", "serializationerror", "serializernotinstalled", "versionmismatch", "notbounderror", "improperlyconfigured"),
        _UNSENDABLE,
    ),
    **dict.fromkeys(
        ("frameerror", "framesyntaxerror", "unexpectedframe", "internalerror", "channelnotopen", "consumercancelled", "messagestateerror"),
        _UNCONFIRMED,
    ),
    # carrying out
    "decodeerror": _UNREADABLE,
    "contentdisallowed": _UNREADABLE,
    "invalidtaskerror": _UNREADABLE,
    "securityerror": _UNREADABLE,
    "notregistered": Verdict("SYSTEM_UNKNOWN_TASK", Proof.NOT_SENT),
    "alreadyregistered": Verdict("SYSTEM_TASK_FAILED", Proof.NOT_SENT),
    "softtimelimitexceeded": _TOO_LONG,
    "timelimitexceeded": _TOO_LONG,
    "workerlosterror": _DIED,
    "terminated": _DIED,
    "workershutdown": _STOPPING,
    "workerterminate": _STOPPING,
    "systemterminate": _STOPPING,
    "taskrevokederror": _STOPPING,
    "maxretriesexceedederror": _FAILED,
    "chorderror": _FAILED,
    "incompletestream": _FAILED,
    "taskerror": _FAILED,
    "celeryerror": _FAILED,
    "backenderror": _connection,
    "backendgetmetaerror": _connection,
    "backendstoreerror": _connection,
}  # fmt: skip
