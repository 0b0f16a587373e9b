"""Kill switches: adding one stops trading; two persons release it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from brokers.admin.added_rows import ServiceAddedAdmin
from brokers.core.halts import parse_scope
from brokers.models import KillSwitch, KillSwitchEvent
from brokers.selectors.kill_switch import list_scopes, read_progress
from brokers.services.kill_switch import (
    CONFIRM_PERMISSIONS,
    RELEASE_PERMISSION,
    confirm_release,
    engage,
    request_release,
)
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordInline
from reliability.core.errors import ReliabilityError


class TypedField(forms.CharField):
    """The name of what is changed, typed by the person."""

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})
        super().__init__(max_length=1000, widget=widget, **options)


class EngageForm(forms.ModelForm):
    """What to stop, and why."""

    scope = forms.ChoiceField(choices=list_scopes)
    reason = forms.CharField(
        max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})
    )

    typed = TypedField(label="Its name once more", help_text="Type the scope as it is written: account:desk.")

    class Meta:
        model = KillSwitch
        fields = ("reason",)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("scope") and values.get("typed") and values["typed"] != values["scope"]:
            self.add_error("typed", f"Type {values['scope']} to go on.")
        if values.get("scope"):
            try:
                parse_scope(values["scope"])
            except ValueError as error:
                raise ValidationError(str(error)) from None
        return values


class ReleaseForm(ReasonForm):
    """Why trading can go on, and where."""

    typed = TypedField(label="Their scopes", help_text="Type the scope of each chosen switch, with spaces between.")


class KillSwitchEventInline(RecordInline):
    model = KillSwitchEvent
    columns = ("recorded_at", "kind", "actor", "reason", "evidence")


@admin.register(KillSwitch)
class KillSwitchAdmin(ServiceAddedAdmin):
    list_display = (
        "stops",
        "engaged_at",
        "engaged_by",
        "reason",
        "progress",
        "release_wanted_by",
        "released_by",
        "released_at",
    )
    list_select_related = ("account",)
    ordering = ("-id",)
    actions = ("ask_for_release", "confirm_chosen")
    extra_details = ("stops", "progress")
    inlines = (KillSwitchEventInline,)
    add_form = EngageForm
    add_fields = ("scope", "typed", "reason")
    add_permission = "brokers.engage_kill_switch"

    @admin.display(description="stops")
    def stops(self, switch: KillSwitch) -> str:
        return str(switch.scope)

    @admin.display(description="progress")
    def progress(self, switch: KillSwitch) -> str:
        if switch.released_at is not None:
            return f"released; {switch.orders_stopped} stopped"
        now = read_progress(switch)
        return f"{now.open} open, {now.cancel_pending} cancel pending, {now.unknown} unknown, {now.done} done"

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RELEASE_PERMISSION)

    def has_confirm_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(CONFIRM_PERMISSIONS)

    def add_row(self, request: HttpRequest, values: dict[str, Any]) -> KillSwitch:
        return engage(values["scope"], reason=values["reason"], actor=request.user.get_username())

    def added_text(self, row: KillSwitch) -> str:
        return f"Trading is stopped: {row.scope}."

    @admin.action(description="Ask for the release of chosen switches", permissions=["release"])
    def ask_for_release(self, request: HttpRequest, chosen: QuerySet[KillSwitch]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            _require_typed(values, str(row.scope))
            request_release(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = "Another person confirms it within the hour; until then nothing changes."
        return decide(self, request, chosen, action="ask_for_release", form_class=ReleaseForm, act=act, about=about)

    @admin.action(description="Confirm the release of chosen switches", permissions=["confirm"])
    def confirm_chosen(self, request: HttpRequest, chosen: QuerySet[KillSwitch]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            _require_typed(values, str(row.scope))
            confirm_release(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = "New orders are accepted again at once. You confirm what another person asked for."
        return decide(self, request, chosen, action="confirm_chosen", form_class=ReleaseForm, act=act, about=about)


def _require_typed(values: dict[str, Any], scope: str) -> None:
    """Raise ``ReliabilityError`` unless the scope is among those that were typed."""
    if scope not in values["typed"].replace(",", " ").split():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"Type {scope} to go on.")
