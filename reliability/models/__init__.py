from reliability.models.audit import AuditEntry
from reliability.models.jobs import DeadLetter, Job, JobAttempt, Lane
from reliability.models.processes import Heartbeat

__all__ = ["AuditEntry", "DeadLetter", "Heartbeat", "Job", "JobAttempt", "Lane"]
