"""Which releases started here, and when."""

from django.contrib import admin

from reliability.admin.records import RecordAdmin
from reliability.models import Release


@admin.register(Release)
class ReleaseAdmin(RecordAdmin):
    list_display = ("name", "started_at")
    search_fields = ("name",)
    ordering = ("-id",)
