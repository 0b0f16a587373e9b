"""Circuits: how they are, their settings, pins and history."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.safestring import SafeString

from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import PlainAdmin, RecordAdmin, link_to_list
from reliability.core.breaker import BreakerSettings, PinnedState
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import age_text, instant_text
from reliability.models import Circuit, CircuitTransition
from reliability.models.circuits import SETTING_NAMES
from reliability.services.circuit_board import CircuitView, read_board
from reliability.services.circuit_changes import (
    DEFAULT_PIN_MINUTES,
    MOST_PIN_MINUTES,
    change_settings,
    pin_circuit,
    reset_circuit,
    unpin_circuit,
)
from reliability.templatetags.stanchion import badge

_views: ContextVar[Mapping[str, CircuitView]] = ContextVar("circuit_views")  # as this request has read them


def _read_views() -> None:
    _views.set({view.name: view for view in read_board().circuits})


class PinForm(ReasonForm):
    """State and length come before the reason."""

    field_order = ("state", "minutes", "reason")
    state = forms.ChoiceField(choices=[(state.value, state.value.replace("_", " ")) for state in PinnedState])
    minutes = forms.FloatField(initial=DEFAULT_PIN_MINUTES, min_value=0.1, max_value=MOST_PIN_MINUTES)


class CircuitForm(forms.ModelForm):
    """The settings, checked together, and why they are changed."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
        help_text="Kept with the change.",
    )

    class Meta:
        model = Circuit
        fields = SETTING_NAMES

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if not self.errors:
            try:
                BreakerSettings(**{name: values[name] for name in SETTING_NAMES})
            except ValueError as error:
                raise ValidationError(str(error)) from None
        return values


@admin.register(Circuit)
class CircuitAdmin(PlainAdmin):
    """What the shared store says now beside what is set; the store is read once a page."""

    form = CircuitForm
    list_display = ("name", "state_now", "remaining", "failures", "last_change", "pin", "history")
    search_fields = ("name",)
    search_help_text = "Words of the name, for example sim-a"
    ordering = ("name",)
    actions = ("pin_chosen", "unpin_chosen", "reset_chosen")
    readonly_fields = ("name", "state_now", "remaining", "failures", "last_change", "pin", "settings_version")
    fieldsets = (
        ("Settings", {"fields": SETTING_NAMES, "description": "In force in every process within a second."}),
        (None, {"fields": ("reason",)}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.operate_circuit")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        kwargs.pop("fields", None)
        return super().get_form(request, obj, change, fields=SETTING_NAMES, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        now = (None, {"fields": [self._shown(name) for name in self.readonly_fields]})
        if self.has_change_permission(request, obj):
            return (now, *self.fieldsets)
        return (now, *self.fieldsets[:1])  # a reason is for those who may change

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        _read_views()
        return super().changelist_view(request, extra_context)

    def save_model(self, request: HttpRequest, obj: Circuit, form: Any, change: bool) -> None:
        values = {name: form.cleaned_data[name] for name in form.changed_data if name in SETTING_NAMES}
        change_settings(obj.name, values, actor=request.user.get_username(), reason=form.cleaned_data["reason"])

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        _read_views()
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except ReliabilityError as error:
            self.message_user(request, f"Nothing was changed: {error.message}", messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    @admin.display(description="state")
    def state_now(self, row: Circuit) -> SafeString | str:
        view = self._view(row)
        return badge(view.state.value) if view else "—"

    @admin.display(description="for another")
    def remaining(self, row: Circuit) -> str:
        view = self._view(row)
        return age_text(timedelta(seconds=view.remaining_seconds)) if view and view.remaining_seconds else "—"

    @admin.display(description="failed calls in the window")
    def failures(self, row: Circuit) -> str:
        view = self._view(row)
        if view is None or view.failure_percentage is None:
            return "no calls"
        return f"{view.failures} of {view.calls} ({view.failure_percentage:.0f} %)"

    @admin.display(description="last change")
    def last_change(self, row: Circuit) -> str:
        view = self._view(row)
        last = view.last_transition if view else None
        return f"{instant_text(last.at)} {last.cause.replace('_', ' ')}" if last else "—"

    @admin.display(description="pin")
    def pin(self, row: Circuit) -> str:
        view = self._view(row)
        if view is None or view.pin is None:
            return "—"
        until = instant_text(view.pin.expires_at) if view.pin.expires_at else "removed"
        return f"{view.pin.state.value.replace('_', ' ')} by {view.pin.author} until {until}: {view.pin.reason}"

    @admin.display(description="history")
    def history(self, row: Circuit) -> SafeString:
        return link_to_list(CircuitTransition, "changes", f"circuit={row.name}")

    def _view(self, row: Circuit) -> CircuitView | None:
        return _views.get().get(row.name)

    @admin.action(description="Pin chosen circuits", permissions=["operate"])
    def pin_chosen(self, request: HttpRequest, chosen: QuerySet[Circuit]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            state, actor = PinnedState(values["state"]), request.user.get_username()
            pin_circuit(row.name, state, minutes=values["minutes"], actor=actor, reason=values["reason"])

        about = "Forced open refuses every call; disabled and metrics only let every call through, whatever fails."
        return decide(self, request, chosen, action="pin_chosen", form_class=PinForm, act=act, about=about)

    @admin.action(description="Unpin chosen circuits", permissions=["operate"])
    def unpin_chosen(self, request: HttpRequest, chosen: QuerySet[Circuit]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            unpin_circuit(row.name, actor=request.user.get_username(), reason=values["reason"])

        about = "After forced open, trial calls decide; after the other states the circuit is closed."
        return decide(self, request, chosen, action="unpin_chosen", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Reset chosen circuits", permissions=["operate"])
    def reset_chosen(self, request: HttpRequest, chosen: QuerySet[Circuit]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            reset_circuit(row.name, actor=request.user.get_username(), reason=values["reason"])

        about = "Each is closed at once and forgets what it has counted; a pin stays."
        return decide(self, request, chosen, action="reset_chosen", form_class=ReasonForm, act=act, about=about)


@admin.register(CircuitTransition)
class CircuitTransitionAdmin(RecordAdmin):
    list_display = ("at", "circuit", "from_state", "to_state", "cause", "reason", "process", "is_local")
    list_filter = ("to_state", "cause", "is_local")
    search_fields = ("=circuit", "reason")
    search_help_text = "The circuit's name, or words of the reason"
    date_hierarchy = "at"
    ordering = ("-id",)
