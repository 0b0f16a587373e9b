"""People in the admin: who has which role. Nobody makes a superuser here but one, and every change is on record."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_otp.plugins.otp_totp.models import TOTPDevice

from reliability.services.audit import record_audit

admin.site.unregister(User)
admin.site.unregister(Group)
admin.site.unregister(TOTPDevice)  # its page would show the key: see manage.py second_factor

_KEPT = ("username", "is_active", "is_staff", "is_superuser")


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Roles are given; single permissions and superusers are for a superuser alone. Nobody is deleted."""

    filter_horizontal = ()  # its fields to search in have no names that can be read out

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        kept = ("last_login", "date_joined")
        if request.user.is_superuser:
            return kept
        own = ("groups", "is_active", "is_staff") if obj is not None and obj.pk == request.user.pk else ()
        return (*kept, "is_superuser", "user_permissions", *own)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Called once everything is saved, and for a new password, too."""
        self._record(request, obj, "change_user", message)
        return super().log_change(request, obj, message)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, obj, "add_user", message)
        return super().log_addition(request, obj, message)

    def _record(self, request: HttpRequest, person: User, action: str, message: Any) -> None:
        facts = {name: getattr(person, name) for name in _KEPT}
        facts["roles"] = sorted(person.groups.values_list("name", flat=True))
        record_audit(request.user.get_username(), action, f"user:{person.get_username()}", after=facts)


@admin.register(Group)
class RoleAdmin(GroupAdmin):
    """Roles are made by ``prepare_installation``: another set of permissions is a change of the program."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return False
