"""Retention: how long rows are kept, legal holds, and what went."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from reliability.admin.deciding import ReasonForm, TellsErrors, decide
from reliability.admin.records import PlainAdmin, RecordAdmin
from reliability.core.presentation import instant_text
from reliability.models import LegalHold, RetentionDrop, RetentionPolicy
from reliability.services.retention.holds import place_hold, release_hold
from reliability.services.retention.keepers import list_keepers
from reliability.services.retention.policies import set_policy
from reliability.services.retention.upkeep import plan
from reliability.templatetags.stanchion import badge

_SHOWN = 60


@admin.register(RetentionPolicy)
class RetentionPolicyAdmin(TellsErrors, PlainAdmin):
    list_display = ("kind", "description", "keep_days", "is_exported", "last_run_at", "due", "held", "last_error")
    fields = ("kind", "description", "keep_days", "is_exported", "last_run_at", "last_error", "next_upkeep")
    readonly_fields = ("kind", "description", "last_run_at", "last_error", "next_upkeep")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.display(description="The next upkeep")
    def next_upkeep(self, policy: RetentionPolicy) -> SafeString | str:
        """Show what would go by the policy as it is saved, and what legal holds keep."""
        judged = plan(policy.kind)
        if not judged:
            return "Nothing is due."
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                (
                    one.piece.name,
                    instant_text(one.piece.starts_at),
                    badge(one.fate.value),
                    ", ".join(f"hold {hold}" for hold in one.holds) or "—",
                )
                for one in judged[:_SHOWN]
            ),
        )
        more = f" The first {_SHOWN} of {len(judged)}." if len(judged) > _SHOWN else ""
        head = "<tr><th>Piece</th><th>From</th><th>What becomes of it</th><th>Kept by</th></tr>"
        return format_html("<table>" + head + "{}</table>{}", rows, more)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> RetentionPolicy:
        values = form.cleaned_data
        actor = request.user.get_username()
        return set_policy(
            form.instance.pk, keep_days=values["keep_days"], is_exported=values["is_exported"], actor=actor
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The row is written already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit has it."""


class HoldForm(forms.ModelForm):
    kind = forms.ChoiceField(required=False)

    class Meta:
        model = LegalHold
        fields = ("kind", "starts_at", "ends_at", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(keeper.kind, keeper.kind) for keeper in list_keepers()]
        self.fields["kind"].choices = [("", "every kind"), *kinds]  # type: ignore[attr-defined]  # of ChoiceField


@admin.register(LegalHold)
class LegalHoldAdmin(TellsErrors, RecordAdmin):
    list_display = ("id", "kind", "starts_at", "ends_at", "reason", "placed_by", "placed_at", "released_by")
    ordering = ("-id",)
    actions = ("release",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.place_legal_hold")

    def has_release_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("reliability.release_legal_hold")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        return super().get_form(request, obj, change, form=HoldForm, fields=HoldForm.Meta.fields)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return list(HoldForm.Meta.fields) if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> LegalHold:
        values = form.cleaned_data
        return place_hold(
            kind=values["kind"],
            starts_at=values["starts_at"],
            ends_at=values["ends_at"],
            actor=request.user.get_username(),
            reason=values["reason"],
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The row is written already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit has it, with the reason."""

    @admin.action(description="Release chosen holds that another person placed", permissions=["release"])
    def release(self, request: HttpRequest, chosen: QuerySet[LegalHold]) -> HttpResponse | None:
        def act(row: Any, values: dict[str, Any]) -> None:
            release_hold(row.pk, actor=request.user.get_username(), reason=values["reason"])

        about = "What they keep goes with the next upkeep, if its policy says so."
        return decide(self, request, chosen, action="release", form_class=ReasonForm, act=act, about=about)


@admin.register(RetentionDrop)
class RetentionDropAdmin(RecordAdmin):
    list_display = ("piece", "kind", "rows", "exported_to", "seconds", "actor", "dropped_at")
    list_filter = ("kind",)
    search_fields = ("piece",)
