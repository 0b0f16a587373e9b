"""How runbooks were followed."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.admin.records import RecordAdmin, RecordInline
from reliability.models import RunbookExecution, RunbookStepRun


class StepRunInline(RecordInline):
    model = RunbookStepRun
    columns = ("number", "kind", "action", "state", "plan", "output", "actor", "written_at", "ended_at")


@admin.register(RunbookExecution)
class RunbookExecutionAdmin(RecordAdmin):
    list_display = ("id", "state", "runbook", "scope", "page", "step", "started_by", "started_at", "ended_at")
    list_filter = ("state",)
    search_fields = ("=id", "=scope", "runbook")
    search_help_text = "Number, scope, or part of the runbook's name"
    ordering = ("-id",)
    inlines = (StepRunInline,)
    extra_details = ("page",)

    @admin.display(description="page")
    def page(self, row: RunbookExecution) -> SafeString:
        return format_html('<a href="{}">open</a>', reverse("runbook-execution", args=[row.pk]))
