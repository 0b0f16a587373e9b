"""Logging in: a password behind a limit, then the second factor."""

import math
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from config import second_factor
from reliability.core.logins import caller_address
from reliability.core.presentation import instant_text
from reliability.services.logins import begin_login, end_login

TOO_MANY = "too_many"


class LoginForm(AdminAuthenticationForm):
    """The stock form, behind a limit for each person at each address."""

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username is None or not password or self.request is None:
            return super().clean()
        address = address_of(self.request)
        wait = begin_login(username, address)
        if wait:
            minutes = math.ceil(wait.total_seconds() / 60)
            text = f"Too many wrong passwords from here. Try again in {minutes} minutes."
            raise ValidationError(text, code=TOO_MANY)
        cleaned = super().clean()
        end_login(username, address)
        return cleaned


def address_of(request: HttpRequest) -> str:
    """Return the address a request came from."""
    forwarded = request.headers.get("X-Forwarded-For", "")
    return caller_address(request.META.get("REMOTE_ADDR", ""), forwarded, settings.TRUSTED_PROXIES)


class CodeForm(forms.Form):
    code = forms.CharField(
        max_length=16,
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
    )


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
@never_cache
@login_required
def second_factor_view(request: HttpRequest) -> HttpResponse:
    """Ask for a code; or, where there is no device yet, show the key to enrol one and ask for its first code."""
    way_on = _way_on(request)
    if second_factor.is_given(request):
        return HttpResponseRedirect(way_on)
    form = CodeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if second_factor.check_code(request, form.cleaned_data["code"]):
            return HttpResponseRedirect(way_on)
        form.add_error("code", _refusal(request))
    device = None if second_factor.has_device(request.user) else second_factor.new_device(request.user)
    context: dict[str, Any] = {"form": form, "next": way_on, "device": device}
    if device is not None:
        context |= {"image": second_factor.qr_code(device), "key": second_factor.written_key(device)}
    return render(request, "second_factor.html", context, status=422 if form.errors else 200)


def _refusal(request: HttpRequest) -> str:
    until = second_factor.waits_until(request.user)
    wait = f" The next one is looked at from {instant_text(until)} on: wait until then." if until else ""
    return "That is not the code of now, or it was used, or it came too early." + (wait or " Wait for the next one.")


def _way_on(request: HttpRequest) -> str:
    target = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if safe else "/"
