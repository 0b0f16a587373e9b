from reliability.models.audit import AuditEntry
from reliability.models.circuits import Circuit, CircuitTransition
from reliability.models.classification import ErrorGuess, ErrorRule
from reliability.models.jobs import DeadLetter, Job, JobAttempt, Lane
from reliability.models.metrics import MetricTotal
from reliability.models.processes import Heartbeat
from reliability.models.sagas import Saga, SagaEvent, SagaStep

__all__ = [
    "AuditEntry",
    "Circuit",
    "CircuitTransition",
    "DeadLetter",
    "ErrorGuess",
    "ErrorRule",
    "Heartbeat",
    "Job",
    "JobAttempt",
    "Lane",
    "MetricTotal",
    "Saga",
    "SagaEvent",
    "SagaStep",
]
