"""API tokens: listed and withdrawn here, made by ``manage.py create_token``, which shows each once."""

from django.contrib import admin
from django.http import HttpRequest
from knox.models import AuthToken

from reliability.admin.records import PlainAdmin

admin.site.unregister(AuthToken)


@admin.register(AuthToken)
class TokenAdmin(PlainAdmin):
    list_display = ("token_key", "user", "created", "expiry")
    list_select_related = ("user",)
    search_fields = ("token_key", "user__username")
    fields = readonly_fields = ("token_key", "user", "created", "expiry")
    ordering = ("-created",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuthToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuthToken | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
