from reliability.models.alerts import Alert, AlertOccurrence, AlertRule
from reliability.models.audit import AuditEntry
from reliability.models.circuits import Circuit, CircuitTransition
from reliability.models.classification import ErrorGuess, ErrorRule
from reliability.models.errors import ErrorEvent, ErrorFingerprint, ErrorGroup, ErrorRollup, ErrorTally
from reliability.models.jobs import DeadLetter, Job, JobAttempt, Lane
from reliability.models.metrics import MetricTotal
from reliability.models.processes import Heartbeat
from reliability.models.sagas import Saga, SagaEvent, SagaStep
from reliability.models.service_levels import ServiceLevel, ServiceSample
from reliability.models.timeline import TimelineEntry

__all__ = [
    "Alert",
    "AlertOccurrence",
    "AlertRule",
    "AuditEntry",
    "Circuit",
    "CircuitTransition",
    "DeadLetter",
    "ErrorEvent",
    "ErrorFingerprint",
    "ErrorGroup",
    "ErrorGuess",
    "ErrorRollup",
    "ErrorRule",
    "ErrorTally",
    "Heartbeat",
    "Job",
    "JobAttempt",
    "Lane",
    "MetricTotal",
    "Saga",
    "SagaEvent",
    "SagaStep",
    "ServiceLevel",
    "ServiceSample",
    "TimelineEntry",
]
