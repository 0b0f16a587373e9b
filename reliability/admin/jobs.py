"""Jobs and their attempts."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from reliability.admin.records import RecordAdmin, RecordInline, link_to_list
from reliability.models import Job, JobAttempt, Lane
from reliability.services.jobs.kinds import list_kinds


@admin.display(description="about", ordering="subject")
def about(job: Job) -> SafeString | str:
    """Return the end of the subject's id, with the other unfinished jobs about it behind it."""
    if job.subject is None:
        return "—"
    query = f"subject={job.subject}&state__in=ready,running,dead"
    return link_to_list(Job, f"…{str(job.subject)[-8:]}", query)


class KindFilter(admin.SimpleListFilter):
    """The kinds this process knows: asking a table of a million rows for them would be slow."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.name, kind.name) for kind in list_kinds()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class LaneFilter(admin.SimpleListFilter):
    """The lanes there are, for the same reason."""

    title = parameter_name = "lane"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in Lane.objects.order_by("name").values_list("name", flat=True)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return queryset.filter(lane=self.value()) if self.value() else queryset


class AttemptInline(RecordInline):
    model = JobAttempt
    columns = ("recorded_at", "attempt", "outcome", "error_code", "error_message", "actor", "worker", "detail")
    verbose_name_plural = "attempts that did not simply succeed"


@admin.register(Job)
class JobAdmin(RecordAdmin):
    list_display = ("id", "kind", "lane", "state", "attempt", "error_code", about, "run_at", "finished_at")
    list_filter = ("state", LaneFilter, KindFilter)
    search_fields = ("=id",)
    search_help_text = "Job number"
    ordering = ("-id",)
    inlines = (AttemptInline,)


@admin.register(JobAttempt)
class JobAttemptAdmin(RecordAdmin):
    list_display = ("id", "job", "attempt", "outcome", "error_code", "error_message", "actor", "recorded_at")
    list_filter = ("outcome",)
    list_select_related = ("job",)
    search_fields = ("=job__id",)
    search_help_text = "Job number"
    ordering = ("-id",)
