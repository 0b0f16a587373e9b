"""What waited for a person, and what was decided."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.admin.records import RecordAdmin
from reliability.admin.timelines import history_of
from reliability.models import Intervention


@admin.register(Intervention)
class InterventionAdmin(RecordAdmin):
    list_display = ("id", "state", "title", "handle", "due_at", "claimed_by", "choice", "proposed_by", "decided_by")
    list_filter = ("state", "kind", "is_overdue")
    search_fields = ("=id", "=subject", "title")
    search_help_text = "Number, subject, or words of the question"
    ordering = ("-id",)
    extra_details = ("handle", "history")
    leading_fields = ("state", "title", "evidence", "choice", "reason", "outcome")

    @admin.display(description="page")
    def handle(self, row: Intervention) -> SafeString:
        return format_html('<a href="{}">open</a>', reverse("intervention", args=[row.pk]))

    @admin.display(description="history")
    def history(self, row: Intervention) -> SafeString:
        return history_of("intervention", row.pk)
