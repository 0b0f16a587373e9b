"""Freezes: adding one freezes trading; who may release it depends on its cause."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from brokers.admin.added_rows import ServiceAddedAdmin
from brokers.core.freezes import SCOPE_HELP, FreezeCause, FreezeMode, parse_freeze_scope, release_rule
from brokers.core.halts import ScopeKind
from brokers.models import Freeze, FreezeEvent
from brokers.selectors.kill_switch import list_scopes
from brokers.services.freezes import (
    CONFIRM_PERMISSIONS,
    RELEASE_PERMISSION,
    confirm_freeze_release,
    freeze_by_person,
    release_freeze,
    request_freeze_release,
)
from reliability.admin.deciding import ReasonForm, decide
from reliability.admin.records import RecordInline


class FreezeForm(forms.ModelForm):
    """What to freeze, how far, and why."""

    scope = forms.ChoiceField(choices=list_scopes)
    symbol = forms.CharField(
        max_length=32,
        required=False,
        help_text="Only this symbol of an account; empty: all of it.",
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )
    mode = forms.ChoiceField(
        choices=[
            (FreezeMode.HALT.value, "halt: no order is sent"),
            (FreezeMode.REDUCE_ONLY.value, "reduce only: orders that provably reduce a position are sent"),
        ]
    )
    reason = forms.CharField(
        max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})
    )

    class Meta:
        model = Freeze
        fields = ("reason",)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        scope, symbol = values.get("scope", ""), values.get("symbol", "").strip()
        if symbol and not scope.startswith(f"{ScopeKind.ACCOUNT}:"):
            raise ValidationError("A symbol is frozen on one account: choose it.")
        values["scope_text"] = f"{scope}/symbol:{symbol}" if symbol else scope
        if scope:
            try:
                parse_freeze_scope(values["scope_text"])
            except ValueError:
                raise ValidationError(f"That is no scope: {SCOPE_HELP}") from None
        return values


class FreezeEventInline(RecordInline):
    model = FreezeEvent
    columns = ("recorded_at", "kind", "actor", "reason", "evidence")


@admin.register(Freeze)
class FreezeAdmin(ServiceAddedAdmin):
    list_display = (
        "freezes",
        "mode",
        "cause",
        "frozen_at",
        "frozen_by",
        "reason",
        "release_by",
        "release_wanted_by",
        "released_by",
        "released_at",
    )
    list_filter = ("cause", "mode")
    list_select_related = ("account",)
    ordering = ("-id",)
    actions = ("release_chosen", "ask_for_release", "confirm_chosen")
    extra_details = ("freezes", "release_by")
    inlines = (FreezeEventInline,)
    add_form = FreezeForm
    add_fields = ("scope", "symbol", "mode", "reason")
    add_permission = "brokers.freeze_trading"

    @admin.display(description="freezes")
    def freezes(self, freeze: Freeze) -> str:
        return str(freeze.scope)

    @admin.display(description="released by")
    def release_by(self, freeze: Freeze) -> str:
        return release_rule(FreezeCause(freeze.cause)).value.replace("_", " ")

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RELEASE_PERMISSION)

    def has_confirm_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(CONFIRM_PERMISSIONS)

    def add_row(self, request: HttpRequest, values: dict[str, Any]) -> Freeze:
        mode, by = FreezeMode(values["mode"]), request.user.get_username()
        return freeze_by_person(values["scope_text"], mode, reason=values["reason"], by=by)

    def added_text(self, row: Freeze) -> str:
        return f"Trading is frozen: {row.scope}."

    @admin.action(description="Release chosen freezes that one person may", permissions=["release"])
    def release_chosen(self, request: HttpRequest, chosen: QuerySet[Freeze]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            release_freeze(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = "Orders that waited are sent at once, unless another freeze covers them."
        return decide(self, request, chosen, action="release_chosen", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Ask for the release of chosen freezes", permissions=["release"])
    def ask_for_release(self, request: HttpRequest, chosen: QuerySet[Freeze]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            request_freeze_release(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = "Another person confirms it within the hour; until then nothing changes."
        return decide(self, request, chosen, action="ask_for_release", form_class=ReasonForm, act=act, about=about)

    @admin.action(description="Confirm the release of chosen freezes", permissions=["confirm"])
    def confirm_chosen(self, request: HttpRequest, chosen: QuerySet[Freeze]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            confirm_freeze_release(row.pk, by=request.user.get_username(), reason=values["reason"])

        about = "Orders that waited are sent at once. You confirm what another person asked for."
        return decide(self, request, chosen, action="confirm_chosen", form_class=ReasonForm, act=act, about=about)
