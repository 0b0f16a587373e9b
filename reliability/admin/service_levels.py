"""Service levels: what is promised, to be tuned."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from reliability.admin.records import PlainAdmin
from reliability.models import ServiceLevel
from reliability.services.audit import record_audit


@admin.register(ServiceLevel)
class ServiceLevelAdmin(PlainAdmin):
    """Objectives; what became of them is on the page of service levels."""

    list_display = ("service", "target_percent", "is_alerting", "description")
    fields = ("service", "description", "target_percent", "is_alerting")
    readonly_fields = ("service", "description")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ServiceLevel, form: Any, change: bool) -> None:
        before = ServiceLevel.objects.get(pk=obj.pk)
        super().save_model(request, obj, form, change)
        facts = [{"target_percent": str(one.target_percent), "is_alerting": one.is_alerting} for one in (before, obj)]
        actor = request.user.get_username()
        record_audit(actor, "service_level_changed", f"service_level:{obj.pk}", before=facts[0], after=facts[1])
