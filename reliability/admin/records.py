"""Admin pages of records: read, searched and followed, never written."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from django.contrib import admin, messages
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from reliability.core.errors import ReliabilityError
from reliability.core.presentation import amount_text, instant_text
from reliability.templatetags.stanchion import badge

MOST_COUNTED = 10_000
Column = Callable[[Any], Any]


class BoundedPaginator(Paginator):
    """Counts at most 10,000 rows: nobody turns that many pages, and a full count of a big table is slow."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:MOST_COUNTED].count())


class ValuesFilter(admin.AllValuesFieldListFilter):
    """Offers each value that there is, also the empty one, by a name that can be read out."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": choice["display"] or "(none)"}


admin.FieldListFilter.register(
    lambda field: isinstance(field, models.CharField) and not field.choices, ValuesFilter, take_priority=True
)


def link_to(row: models.Model | None) -> SafeString | str:
    """Return a link to the admin page of a row."""
    if row is None:
        return "—"
    try:
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    except NoReverseMatch:
        return str(row)
    return format_html('<a href="{}">{}</a>', address, row)


def link_to_list(model: type[models.Model], label: str, query: str) -> SafeString:
    """Return a link to a filtered list in the admin."""
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return format_html('<a href="{}?{}">{}</a>', address, query, label)


def pretty(value: Any) -> SafeString | str:
    """Return JSON as a person reads it."""
    if value in ({}, [], None):
        return "—"
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return format_html('<pre class="json" tabindex="0">{}</pre>', text)


@cache
def column(field: models.Field) -> Column:
    """Return a column that writes a field's value as all pages do."""

    def show(row: models.Model) -> Any:
        if isinstance(field, models.ForeignKey):
            return link_to(getattr(row, field.name))
        value = field.value_from_object(row)
        if isinstance(value, datetime):
            return format_html('<span class="instant">{}</span>', instant_text(value))
        if isinstance(field, models.JSONField):
            return pretty(value)
        if isinstance(field, models.DecimalField) and value is not None:
            return amount_text(value)
        if field.name in ("state", "outcome", "from_state", "to_state") and value:
            return badge(value)
        return "—" if value in (None, "") else value

    show.short_description = field.verbose_name  # type: ignore[attr-defined]
    show.admin_order_field = field.name  # type: ignore[attr-defined]
    show.__name__ = field.name
    return show


class RefusalsTold:
    """For a form that is saved through a service: what the service refuses is told, and nothing was changed."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)  # type: ignore[misc]
        except ReliabilityError as error:
            messages.error(request, f"Nothing was changed: {error.message}")
            return HttpResponseRedirect(request.get_full_path())


class PlainAdmin(admin.ModelAdmin):
    """What all our pages share: bounded lists, exact instants, links, no deleting."""

    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    paginator = BoundedPaginator

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = {"title": self.model._meta.verbose_name_plural.capitalize()}
        return super().changelist_view(request, {**title, **(extra_context or {})})

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        fixed = set(self.fixed_fields(request, obj))
        return [self._shown(name) if name in fixed else name for name in super().get_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return [self._shown(name) for name in self.fixed_fields(request, obj)]

    def fixed_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Sequence[str]:
        """Return the names of the fields that are shown and cannot be edited."""
        return tuple(self.readonly_fields)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [self._shown(name) for name in super().get_list_display(request)]

    def get_list_display_links(self, request: HttpRequest, list_display: Any) -> Any:
        return None if self.list_display_links is None else list(list_display)[:1]

    def _shown(self, name: Any) -> Any:
        field = self._fields_by_name.get(name) if isinstance(name, str) and not hasattr(self, name) else None
        return name if field is None or field.primary_key or isinstance(field, models.BooleanField) else column(field)

    @cached_property
    def _fields_by_name(self) -> dict[str, models.Field]:
        return {field.name: field for field in self.model._meta.concrete_fields}


class RecordAdmin(PlainAdmin):
    """Records that nobody changes by hand."""

    change_form_template = "admin/record.html"
    extra_details: Iterable[str] = ()
    leading_fields: Sequence[str] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        """Show every field, what matters most first."""
        others = [name for name in self._fields_by_name if name not in self.leading_fields]
        return [*self.extra_details, *(self._shown(name) for name in (*self.leading_fields, *others))]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return self.get_fields(request, obj)


class RecordInline(admin.TabularInline):
    """Rows of a record's history on the record's page."""

    extra = 0
    can_delete = False
    columns: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return [column(self.model._meta.get_field(name)) for name in self.columns]

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> list[Any]:
        return self.get_fields(request, obj)
