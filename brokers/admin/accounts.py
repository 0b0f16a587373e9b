"""Brokers and accounts, the only records of this app that are edited by hand."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest

from brokers.adapters.reach import is_allowed
from brokers.adapters.registry import adapter_names
from brokers.conf import get_conf
from brokers.models import Account, Broker, Instrument, StreamChange, StreamSession
from brokers.selectors.accounts import count_in_doubt, has_orders
from brokers.services.credentials import set_credentials
from reliability.admin.records import PlainAdmin, RecordAdmin
from reliability.services.audit import record_audit

SECRET_FIELDS = ("api_key", "api_secret")
CALLED_ADDRESSES = ("base_url", "backup_base_url")
_SECURE = {"http": "https", "ws": "wss"}


def require_safe_address(address: str, plain_scheme: str) -> None:
    """Raise ``ValidationError`` unless the address is encrypted or on this machine, and holds no password."""
    url = urlsplit(address)
    secure = _SECURE[plain_scheme]
    if url.username or url.password:
        raise ValidationError("Credentials belong to the account, not into the address.")
    if url.scheme != secure and not (url.scheme == plain_scheme and _is_loopback(url.hostname or "")):
        raise ValidationError(f"Use {secure}://; {plain_scheme}:// only for an address of this machine.")
    _require_reachable(url.hostname or "")


def _require_reachable(host: str) -> None:
    """Refuse a private address here already; a name is judged by what it resolves to, whenever it is connected to."""
    try:
        allowed = is_allowed(host, get_conf().private_networks)
    except ValueError:
        allowed = host != "localhost" or is_allowed("127.0.0.1", get_conf().private_networks)
    if not allowed:
        raise ValidationError("That is a private address, which STANCHION_PRIVATE_BROKERS does not name.")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class BrokerForm(forms.ModelForm):
    """Where a broker is: an order whose outcome is unknown must be asked for where it was sent."""

    adapter = forms.ChoiceField(choices=lambda: [(name, name) for name in adapter_names()])

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk and "adapter" in self.fields and has_orders(broker=self.instance.pk):
            self.fields["adapter"].disabled = True
            self.fields["adapter"].help_text = "Fixed: orders were sent by it. Another adapter is another broker."

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.instance.pk and set(CALLED_ADDRESSES) & set(self.changed_data):
            doubtful = count_in_doubt(self.instance.pk)
            if doubtful:
                raise ValidationError(
                    f"What became of {doubtful} orders is not known yet, and it is asked for at these addresses: "
                    "freeze the broker and wait until none is left."
                )
        return cleaned

    def clean_base_url(self) -> str:
        require_safe_address(self.cleaned_data["base_url"], "http")
        return str(self.cleaned_data["base_url"])

    def clean_stream_url(self) -> str:
        if self.cleaned_data["stream_url"]:
            require_safe_address(self.cleaned_data["stream_url"], "ws")
        return str(self.cleaned_data["stream_url"])

    def clean_backup_base_url(self) -> str:
        if self.cleaned_data["backup_base_url"]:
            require_safe_address(self.cleaned_data["backup_base_url"], "http")
        return str(self.cleaned_data["backup_base_url"])

    def clean_backup_stream_url(self) -> str:
        if self.cleaned_data["backup_stream_url"]:
            require_safe_address(self.cleaned_data["backup_stream_url"], "ws")
        return str(self.cleaned_data["backup_stream_url"])


class SecretInput(forms.PasswordInput):
    """Takes a secret and never shows one."""

    def __init__(self) -> None:
        super().__init__(attrs={"autocomplete": "new-password", "class": "vTextField"}, render_value=False)


class AccountForm(forms.ModelForm):
    api_key = forms.CharField(required=False, widget=SecretInput, label="New API key")
    api_secret = forms.CharField(
        required=False,
        widget=SecretInput,
        label="New API secret",
        help_text="Kept encrypted and never shown. Leave both empty to keep the present ones.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if bool(cleaned.get("api_key")) != bool(cleaned.get("api_secret")):
            raise ValidationError("Enter the key and the secret together.")
        return cleaned

    @property
    def credentials(self) -> dict[str, str]:
        """What was entered, empty if nothing was."""
        return {name: self.cleaned_data[name] for name in SECRET_FIELDS if self.cleaned_data.get(name)}


class AuditedAdmin(PlainAdmin):
    """Edited by hand: each change leaves an entry that says who changed which field from what to what."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored_names = {field.name for field in obj._meta.concrete_fields}
        fields = [name for name in form.changed_data if name in stored_names]
        stored = type(obj).objects.filter(pk=obj.pk).values(*fields).first() if change and fields else {}
        super().save_model(request, obj, form, change)
        after = type(obj).objects.values(*fields).get(pk=obj.pk) if fields else {}
        name = type(obj)._meta.model_name
        action = f"change_{name}" if change else f"add_{name}"
        if fields:
            record_audit(request.user.get_username(), action, f"{name}:{obj}", before=stored or {}, after=after)


@admin.register(Broker)
class BrokerAdmin(AuditedAdmin):
    form = BrokerForm
    list_display = ("name", "adapter", "base_url", "call_timeout_ms", "connect_timeout_ms")
    fields = (
        "name",
        "adapter",
        "base_url",
        "stream_url",
        "backup_base_url",
        "backup_stream_url",
        "mute_after_ms",
        "call_timeout_ms",
        "connect_timeout_ms",
    )
    ordering = ("name",)

    def fixed_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        return ("name",) if obj else ()


@admin.register(Account)
class AccountAdmin(AuditedAdmin):
    form = AccountForm
    list_display = ("name", "broker", "enabled", "is_default", "credentials", "synced_at")
    list_filter = ("broker", "enabled")
    list_select_related = ("broker",)
    readonly_fields = ("credentials", "synced_at")
    fields = ("name", "broker", "enabled", "is_default", "credentials", "api_key", "api_secret", "synced_at")
    ordering = ("name",)

    @admin.display(description="credentials")
    def credentials(self, account: Account) -> str:
        return f"set, version {account.credentials_version}" if account.encrypted_credentials else "not set"

    def fixed_fields(self, request: HttpRequest, obj: models.Model | None = None) -> tuple[str, ...]:
        """An account stays where its orders are: an unknown one asked for elsewhere is absent there, and sent again."""
        fixed = ("credentials", "synced_at")
        if obj is None:
            return fixed
        if not self._may_set(request):
            return (*fixed, "name", "broker", "is_default")
        return (*fixed, "name", "broker") if has_orders(account=obj.pk) else (*fixed, "name")

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Whoever may switch an account on and off need not be able to point it at another one of the broker."""
        names = super().get_fields(request, obj)
        return names if self._may_set(request) else [name for name in names if name not in SECRET_FIELDS]

    def save_model(self, request: HttpRequest, obj: Account, form: AccountForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.credentials and self._may_set(request):
            set_credentials(obj, form.credentials)
            after = {"credentials_version": obj.credentials_version}
            record_audit(request.user.get_username(), "set_credentials", f"account:{obj}", after=after)

    @staticmethod
    def _may_set(request: HttpRequest) -> bool:
        return request.user.has_perm("brokers.set_credentials")


@admin.register(Instrument)
class InstrumentAdmin(RecordAdmin):
    list_display = ("symbol", "broker", "name", "tradable", "fractionable", "seen_at")
    list_filter = ("broker", "tradable")
    list_select_related = ("broker",)
    search_fields = ("^symbol", "name")
    ordering = ("symbol", "id")


@admin.register(StreamSession)
class StreamSessionAdmin(RecordAdmin):
    list_display = (
        "account",
        "state",
        "endpoint",
        "standby",
        "generation",
        "caught_up_generation",
        "last_alive_at",
        "last_event_at",
        "reconnects",
        "switches",
        "silences",
        "last_error",
    )
    list_filter = ("state", "endpoint", "standby")
    list_select_related = ("account",)
    ordering = ("account_id",)


@admin.register(StreamChange)
class StreamChangeAdmin(RecordAdmin):
    list_display = ("at", "account", "kind", "endpoint", "generation", "pulse", "reason")
    list_filter = ("kind", "endpoint", "account")
    list_select_related = ("account",)
    ordering = ("-id",)
