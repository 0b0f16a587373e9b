"""Incidents of kind drill: begun and ended by the drill itself, told apart everywhere, nobody is paged for them."""

from django.db.models.functions import Now

from reliability.core.conditions import FailureDomain
from reliability.core.incidents import IncidentState
from reliability.models import Incident
from reliability.services.incidents import open_drill
from reliability.services.timeline import Happening, record_timeline


def begin_drill_incident(subject: str, title: str) -> int:
    """Open the incident of a drill; raises ``IntegrityError`` while another drill of the subject runs."""
    return int(open_drill(subject, title, FailureDomain.RECOVERY).pk)


def end_drill_incident(incident_id: int, *, passed: bool, verdict: str) -> None:
    """Close it with its verdict."""
    Incident.objects.filter(pk=incident_id).update(
        state=IncidentState.CLOSED, resolved_at=Now(), closed_at=Now(), closed_by="drill", impact=verdict[:5000]
    )
    kind = "drill_passed" if passed else "drill_failed"
    record_timeline(
        [Happening("incident", incident_id, kind, IncidentState.OPEN, IncidentState.CLOSED, reason=verdict)]
    )
