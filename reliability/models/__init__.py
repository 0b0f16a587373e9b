from reliability.models.alerts import Alert, AlertOccurrence, AlertRule
from reliability.models.audit import AuditEntry
from reliability.models.changes import ProposedChange
from reliability.models.circuits import Circuit, CircuitTransition
from reliability.models.classification import ErrorGuess, ErrorRule
from reliability.models.errors import ErrorEvent, ErrorFingerprint, ErrorGroup, ErrorRollup, ErrorTally
from reliability.models.escalation import (
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    Escalation,
    EscalationPolicy,
    Recipient,
    Rota,
    RotaShift,
    Silence,
)
from reliability.models.incidents import Incident
from reliability.models.interventions import Intervention
from reliability.models.jobs import DeadLetter, Job, JobAttempt, Lane
from reliability.models.logins import LoginFailure
from reliability.models.metrics import MetricTotal
from reliability.models.processes import Heartbeat
from reliability.models.releases import Release
from reliability.models.retention import LegalHold, RetentionDrop, RetentionPolicy
from reliability.models.runbooks import RunbookExecution, RunbookStepRun
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
    "Delivery",
    "DeliveryAttempt",
    "DeliveryState",
    "ErrorEvent",
    "ErrorFingerprint",
    "ErrorGroup",
    "ErrorGuess",
    "ErrorRollup",
    "ErrorRule",
    "ErrorTally",
    "Escalation",
    "EscalationPolicy",
    "Heartbeat",
    "Incident",
    "Intervention",
    "Job",
    "JobAttempt",
    "Lane",
    "LegalHold",
    "LoginFailure",
    "MetricTotal",
    "ProposedChange",
    "Recipient",
    "Release",
    "RetentionDrop",
    "RetentionPolicy",
    "Rota",
    "RotaShift",
    "RunbookExecution",
    "RunbookStepRun",
    "Saga",
    "SagaEvent",
    "SagaStep",
    "ServiceLevel",
    "ServiceSample",
    "Silence",
    "TimelineEntry",
]
