"""Changes that took two persons, and those that wait for the second."""

from functools import cached_property

from django.contrib import admin
from django.db import models
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.admin.records import RecordAdmin
from reliability.models import ProposedChange


@admin.register(ProposedChange)
class ProposedChangeAdmin(RecordAdmin):
    list_display = ("id", "state", "title", "page", "proposed_by", "proposed_at", "expires_at", "decided_by")
    list_filter = ("state", "kind")
    search_fields = ("=id", "=subject", "title", "=proposed_by")
    search_help_text = "Number, subject, who proposed it, or words of what it does"
    ordering = ("-id",)
    extra_details = ("page", "proposal")
    leading_fields = ("state", "title", "content", "reason", "proposed_by", "outcome")

    @cached_property
    def _fields_by_name(self) -> dict[str, models.Field]:
        fields = self.model._meta.concrete_fields
        return {field.name: field for field in fields if field.name != "sealed"}

    @admin.display(description="page")
    def page(self, row: ProposedChange) -> SafeString:
        return format_html('<a href="{}">Look and confirm</a>', reverse("change", args=[row.pk]))
