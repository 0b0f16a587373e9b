"""Processes, and who changed what."""

from django.contrib import admin

from reliability.admin.records import RecordAdmin
from reliability.models import AuditEntry, Heartbeat


@admin.register(Heartbeat)
class HeartbeatAdmin(RecordAdmin):
    list_display = ("pulse", "name", "kind", "host", "pid", "started_at", "beat_at", "ended_at", "end_reason")
    list_filter = ("kind", "end_reason")
    ordering = ("-pulse",)


@admin.register(AuditEntry)
class AuditEntryAdmin(RecordAdmin):
    list_display = ("recorded_at", "actor", "action", "subject", "reason")
    list_filter = ("action",)
    search_fields = ("=actor", "=subject", "reason")
    search_help_text = "Actor, subject (for example job:17), or words of the reason"
    date_hierarchy = "recorded_at"
    ordering = ("-id",)
