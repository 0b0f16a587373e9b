"""Actions of lists that ask for a reason, and more, before they act on exactly what was chosen."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from reliability.core.errors import ReliabilityError

MOST_AT_ONCE = 100


class ReasonForm(forms.Form):
    """What every decision keeps."""

    reason = forms.CharField(
        max_length=500, widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"})
    )


class TellsErrors:
    """An admin page whose services may refuse: what they say is told, and nothing is changed."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)  # type: ignore[misc]  # of ModelAdmin, which this stands before
        except ReliabilityError as error:
            messages.error(request, f"Nothing was changed: {error.message}")
            return HttpResponseRedirect(request.get_full_path())


def decide(
    admin_page: admin.ModelAdmin,
    request: HttpRequest,
    chosen: QuerySet[Any],
    *,
    action: str,
    form_class: type[ReasonForm],
    act: Callable[[Model, dict[str, Any]], None],
    about: str,
    warning: str = "",
) -> HttpResponse | None:
    """Show the form; once it is filled in, run ``act`` on each chosen row and tell how it went.

    Args:
        action: The name of the list's action, which the form posts again.
        act: Takes a row and the form's clean values; its ``ReliabilityError`` is told to the person.
        about: One sentence on what will happen; ``warning`` stands above it in red.
    """
    form = form_class(request.POST if "reason" in request.POST else None)
    rows = list(chosen[:MOST_AT_ONCE])
    if not form.is_valid():
        context = {
            **admin_page.admin_site.each_context(request),
            "title": f"{action.replace('_', ' ').capitalize()}: {len(rows)}",
            "opts": admin_page.model._meta,
            "action": action,
            "rows": rows,
            "about": about,
            "warning": warning,
            "form": form,
            "picked_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/reliability/decide.html", context)
    done = 0
    for row in rows:
        try:
            act(row, form.cleaned_data)
            done += 1
        except ReliabilityError as error:
            admin_page.message_user(request, f"{row}: nothing was changed: {error.message}", messages.ERROR)
    if done:
        admin_page.message_user(request, f"Done: {action.replace('_', ' ')} ({done}).", messages.SUCCESS)
    return None
