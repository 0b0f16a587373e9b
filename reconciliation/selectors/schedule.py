"""Reading how often accounts are reconciled: operators edit the schedule in admin."""

from datetime import timedelta

from django_celery_beat.models import PeriodicTask

INCREMENTAL = "reconciliation.incremental"


def reconciliation_period() -> timedelta | None:
    """Return how often an incremental reconciliation is due, None while none is scheduled by an interval."""
    task = PeriodicTask.objects.select_related("interval").filter(name=INCREMENTAL, enabled=True).first()
    if task is None or task.interval is None:
        return None
    return timedelta(**{task.interval.period: task.interval.every})
