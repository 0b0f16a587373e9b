"""Recovery drills and their trend."""

from django.contrib import admin

from reconciliation.models import Drill
from reliability.admin.records import RecordAdmin


@admin.register(Drill)
class DrillAdmin(RecordAdmin):
    list_display = ("id", "state", "account", "fault", "seconds", "verdict", "requested_by", "started_at", "ended_at")
    list_filter = ("state", "account")
    list_select_related = ("account",)
    ordering = ("-id",)
