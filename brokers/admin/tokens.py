"""API tokens: made, shown once, listed with the accounts they reach, and withdrawn."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from knox.models import AuthToken

from brokers.admin.added_rows import ServiceAddedAdmin
from brokers.models import Account, TokenLimit
from brokers.services.tokens import MOST_DAYS, issue_token

_APPROVES = "reliability.approve_intervention"


class TokenForm(forms.ModelForm):
    """Whose token it is, how long it is valid, and what it reaches."""

    user = forms.ModelChoiceField(
        get_user_model().objects.none(), help_text="It may what this user's roles allow. Approvers get none here."
    )
    days = forms.FloatField(
        required=False, max_value=MOST_DAYS, help_text="How long it is valid. Empty: STANCHION_TOKEN_DAYS."
    )
    accounts = forms.ModelMultipleChoiceField(
        Account.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="All it reaches. None: every account, and everything that is not of one account.",
    )

    class Meta:
        model = AuthToken
        fields = ("user",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        people = get_user_model().objects.filter(is_active=True, is_superuser=False).order_by("username")
        self.fields["user"].queryset = people  # type: ignore[attr-defined]

    def clean_user(self) -> Any:
        user = self.cleaned_data["user"]
        if user.has_perm(_APPROVES):
            raise forms.ValidationError("This user is a second person for others, who acts in person.")
        return user

    def clean_days(self) -> float | None:
        days: float | None = self.cleaned_data["days"]
        if days is not None and not days > 0:
            raise forms.ValidationError("More than 0.")
        return days


admin.site.unregister(AuthToken)


@admin.register(AuthToken)
class TokenAdmin(ServiceAddedAdmin):
    list_display = ("token_key", "user", "reaches", "created", "expiry")
    list_select_related = ("user", "limit")
    search_fields = ("token_key", "user__username")
    shown_fields = ("token_key", "user", "reaches", "created", "expiry")
    ordering = ("-created",)
    add_form = TokenForm
    add_fields = ("user", "days", "accounts")
    add_permission = "knox.add_authtoken"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [*self.add_fields] if obj is None else [*self.shown_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else [*self.shown_fields]

    def has_delete_permission(self, request: HttpRequest, obj: AuthToken | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)

    @admin.display(description="accounts")
    def reaches(self, row: AuthToken) -> str:
        limit: TokenLimit | None = getattr(row, "limit", None)
        if limit is None:
            return "all"
        names = Account.objects.filter(pk__in=limit.accounts).order_by("name").values_list("name", flat=True)
        return ", ".join(names) or "none that exists"

    def add_row(self, request: HttpRequest, values: dict[str, Any]) -> AuthToken:
        names = [account.name for account in values["accounts"]]
        actor = request.user.get_username()
        row, token = issue_token(values["user"], days=values["days"], accounts=names, actor=actor)
        row.shown_once = token
        return row

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token in this answer alone: a message would be kept in a cookie until the next page."""
        context = {**self.admin_site.each_context(request), "title": "The token", "token": obj.shown_once, "row": obj}
        return TemplateResponse(request, "admin/brokers/token.html", context)  # admin pages are never cached
