"""Alerts: found, understood, acknowledged."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin
from reliability.admin.timelines import history_of
from reliability.core.conditions import CONDITIONS
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert
from reliability.services.alert_decisions import acknowledge_alerts
from reliability.services.quiet import quiet_reason
from reliability.templatetags.stanchion import badge


@admin.display(description="severity", ordering="severity")
def severity_badge(row: Any) -> SafeString:
    return badge(ErrorSeverity.of_rank(row.severity).value)


class UnresolvedFilter(admin.SimpleListFilter):
    """What is not over comes first: it is what somebody looks for."""

    title = "whether it is over"
    parameter_name = "over"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "not over"), ("yes", "resolved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("no", "yes"):
            return queryset.filter(resolved_at__isnull=self.value() == "no")
        return queryset


@admin.register(Alert)
class AlertAdmin(RecordAdmin):
    list_display = (
        "id",
        severity_badge,
        "state",
        "knowledge",
        "condition",
        "scope",
        "message",
        "occurrences",
        "flaps",
        "raised_at",
        "last_raised_at",
    )
    list_filter = (UnresolvedFilter, "severity", "condition", "domain")
    search_fields = ("=id", "=scope", "=correlation_id", "message")
    search_help_text = "Number, scope, correlation id, or words of the message"
    ordering = ("-id",)
    actions = ("acknowledge",)
    extra_details = ("what_to_do", "told", "history")
    leading_fields = ("severity", "state", "condition", "scope", "message", "details")

    @admin.display(description="data")
    def knowledge(self, row: Alert) -> SafeString | str:
        return badge("no_data") if row.no_data_since else "yes"

    @admin.display(description="what to do")
    def what_to_do(self, row: Alert) -> str:
        condition = CONDITIONS.get(row.condition)
        return " ".join(condition.steps) if condition else "—"

    @admin.display(description="people are told")
    def told(self, row: Alert) -> str:
        reason = quiet_reason(row)
        return f"no: {reason}" if reason else "yes"

    @admin.display(description="history")
    def history(self, row: Alert) -> SafeString:
        return history_of("alert", row.pk)

    def has_acknowledge_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.acknowledge_alert")

    @admin.action(description="Acknowledge chosen alerts", permissions=["acknowledge"])
    def acknowledge(self, request: HttpRequest, chosen: QuerySet[Alert]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            acknowledge_alerts([row.pk], actor=request.user.get_username(), reason=values["reason"])

        about = "You work on them. They stay until their condition is over."
        return decide(self, request, chosen, action="acknowledge", form_class=ReasonForm, act=act, about=about)
