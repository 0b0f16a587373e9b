"""What an operator sets for each condition: a field per threshold, with what is usual and its bounds beside it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import PlainAdmin, RefusalsTold
from reliability.core.conditions import CONDITIONS, Condition
from reliability.core.presentation import instant_text
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import AlertRule
from reliability.selectors.alert_rules import threshold_text
from reliability.services.alert_rules import RuleValues, change_rule, reset_rule
from reliability.templatetags.stanchion import badge

_PREFIX = "threshold_"


class AlertRuleForm(forms.ModelForm):
    """A rule with one field for each of its condition's thresholds; empty is as the catalogue has it."""

    class Meta:
        model = AlertRule
        fields = ("severity", "hold_down_seconds", "is_told")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for one in _thresholds(self.instance):
            self.fields[_PREFIX + one.name] = forms.FloatField(
                required=False,
                min_value=one.low,
                max_value=one.high,
                label=one.name.replace("_", " "),
                initial=(self.instance.thresholds or {}).get(one.name),
                help_text=f"{one.meaning} Empty: {one.usual:g}. From {one.low:g} to {one.high:g}.",
            )

    def values(self) -> RuleValues:
        """Return what the form says, as the service takes it."""
        data = self.cleaned_data
        severity = ErrorSeverity.of_rank(data["severity"]) if data["severity"] else None
        thresholds = {one.name: data[_PREFIX + one.name] for one in _thresholds(self.instance)}
        return RuleValues(severity, data["hold_down_seconds"], data["is_told"], thresholds)


def _thresholds(row: AlertRule) -> tuple[Any, ...]:
    condition = CONDITIONS.get(row.condition)
    return condition.thresholds if condition else ()


@admin.register(AlertRule)
class AlertRuleAdmin(RefusalsTold, PlainAdmin):
    form = AlertRuleForm
    list_display = (
        "condition", "about", "severity", "hold_down_seconds", "numbers", "is_told", "data", "changed_by", "changed_at"
    )  # fmt: skip
    search_fields = ("condition",)
    readonly_fields = ("condition", "about", "resolves", "usual", "changed_by", "changed_at")
    actions = ("reset",)

    @admin.display(description="what it means")
    def about(self, row: AlertRule) -> str:
        condition = self._condition(row)
        return condition.summary if condition else "of another version"

    @admin.display(description="resolved when")
    def resolves(self, row: AlertRule) -> str:
        condition = self._condition(row)
        return condition.resolves if condition else "—"

    @admin.display(description="in the catalogue")
    def usual(self, row: AlertRule) -> str:
        condition = self._condition(row)
        if condition is None:
            return "—"
        return f"{condition.severity.value}, over for {condition.hold_down.total_seconds():g} s"

    @admin.display(description="thresholds")
    def numbers(self, row: AlertRule) -> str:
        return threshold_text(row) or "—"

    @admin.display(description="evaluated")
    def data(self, row: AlertRule) -> SafeString | str:
        if row.no_data_since is None:
            return "yes"
        return format_html("{} since {}: {}", badge("no_data"), instant_text(row.no_data_since), row.no_data_reason)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None or not self.has_change_permission(request, obj):
            return ["condition", "about", "resolves", "usual", "severity", "hold_down_seconds", "numbers", "is_told"]
        own = [_PREFIX + one.name for one in _thresholds(obj)]
        return ["condition", "about", "resolves", "usual", "severity", "hold_down_seconds", *own, "is_told"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [*super().get_readonly_fields(request, obj), "numbers"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Leave the fields of thresholds to the form itself: they are no fields of the model."""
        return super().get_form(request, obj, change, **{**kwargs, "fields": AlertRuleForm.Meta.fields})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> AlertRule:
        return change_rule(form.instance.condition, form.values(), actor=request.user.get_username())

    def save_model(self, request: HttpRequest, obj: AlertRule, form: Any, change: bool) -> None:
        """The service saved it, with its record."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Nothing is related to a rule."""

    @admin.action(description="Reset chosen rules to the catalogue", permissions=["change"])
    def reset(self, request: HttpRequest, chosen: QuerySet[AlertRule]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            reset_rule(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "Severity, hold-down, telling and thresholds are as the catalogue has them again."
        return decide(self, request, chosen, action="reset", form_class=ReasonForm, act=act, about=about)

    @staticmethod
    def _condition(row: AlertRule) -> Condition | None:
        return CONDITIONS.get(row.condition)
