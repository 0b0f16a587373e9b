"""Kill switches: adding one stops trading; two persons release it."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from brokers.core.halts import parse_scope
from brokers.models import KillSwitch, KillSwitchEvent
from brokers.selectors.kill_switch import list_scopes, read_progress
from brokers.services.kill_switch import RELEASE_PERMISSION, confirm_release, engage, request_release
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordAdmin, RecordInline


class EngageForm(forms.ModelForm):
    """What to stop, and why."""

    scope = forms.ChoiceField(choices=list_scopes)
    reason = forms.CharField(
        max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})
    )

    class Meta:
        model = KillSwitch
        fields = ("reason",)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("scope"):
            try:
                parse_scope(values["scope"])
            except ValueError as error:
                raise ValidationError(str(error)) from None
        return values


class KillSwitchEventInline(RecordInline):
    model = KillSwitchEvent
    columns = ("recorded_at", "kind", "actor", "reason", "evidence")


@admin.register(KillSwitch)
class KillSwitchAdmin(RecordAdmin):
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

    @admin.display(description="stops")
    def stops(self, switch: KillSwitch) -> str:
        return str(switch.scope)

    @admin.display(description="progress")
    def progress(self, switch: KillSwitch) -> str:
        if switch.released_at is not None:
            return f"released; {switch.orders_stopped} stopped"
        now = read_progress(switch)
        return f"{now.open} open, {now.cancel_pending} cancel pending, {now.unknown} unknown, {now.done} done"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("brokers.engage_kill_switch")

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RELEASE_PERMISSION)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        return EngageForm

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["scope", "reason"] if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> KillSwitch:
        """Engage it: the service writes the row."""
        values = form.cleaned_data
        return engage(values["scope"], reason=values["reason"], actor=request.user.get_username())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The row is written already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit has it, with the reason."""

    def response_add(self, request: HttpRequest, obj: KillSwitch, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, f"Trading is stopped: {obj.scope}.", messages.WARNING)
        return self.response_post_save_add(request, obj)

    @admin.action(description="Ask for the release of chosen switches", permissions=["release"])
    def ask_for_release(self, request: HttpRequest, chosen: QuerySet[KillSwitch]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            request_release(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = "Another person confirms it within the hour; until then nothing changes."
        return decide(self, request, chosen, action="ask_for_release", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Confirm the release of chosen switches", permissions=["release"])
    def confirm_chosen(self, request: HttpRequest, chosen: QuerySet[KillSwitch]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            confirm_release(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = "New orders are accepted again at once. You confirm what another person asked for."
        return decide(self, request, chosen, action="confirm_chosen", form_class=ReasonForm, act=act, about=about)
