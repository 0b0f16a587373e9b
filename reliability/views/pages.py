"""A page of one thing, and the part of it that refreshes by itself."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from reliability.views.fragments import fragment_response

View = Callable[..., HttpResponse]
Context = Callable[..., dict[str, Any]]


def page_and_live(permission: str | tuple[str, ...], template: str, context: Context) -> tuple[View, View]:
    """Return both views, for whoever has the permission: ``<template>.html`` and ``<template>_live.html``.

    ``context`` gets the request and what the address names.
    """

    def page(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        return render(request, f"{template}.html", context(request, *args, **named))

    def live(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        return fragment_response(request, f"{template}_live.html", context(request, *args, **named))

    closed = permission_required(permission, raise_exception=True)
    both = [require_GET(never_cache(login_required(closed(view)))) for view in (page, live)]
    return both[0], both[1]
