"""Records that a person adds in admin by what a service does: the service writes the row."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse

from reliability.admin.records import RecordAdmin


class ServiceAddedAdmin(RecordAdmin):
    """Shows ``add_form`` for a new row and lets ``add_row`` make it; afterwards it is a record like any other."""

    add_form: ClassVar[Any]
    add_fields: ClassVar[Sequence[str]]
    add_permission: ClassVar[str]

    def add_row(self, request: HttpRequest, values: dict[str, Any]) -> Model:
        """Do it, and return the row; its errors are told to the person."""
        raise NotImplementedError

    def added_text(self, row: Any) -> str:
        raise NotImplementedError

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(self.add_permission)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        return self.add_form

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [*self.add_fields] if obj is None else super().get_fields(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else super().get_readonly_fields(request, obj)

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return () if obj is None else self.inlines

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Model:
        return self.add_row(request, form.cleaned_data)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The row is written already."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside the row."""

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """The audit has it, with the reason."""

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        self.message_user(request, self.added_text(obj), messages.WARNING)
        return self.response_post_save_add(request, obj)
