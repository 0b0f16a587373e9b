"""The second factor: codes of an authenticator app (TOTP), one device for each person, each code taken once."""

import base64
import time
from typing import Any

import segno
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django_otp import login as note_in_session
from django_otp import verify_token
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from reliability.services.audit import record_audit


def is_required() -> bool:
    return bool(settings.SECOND_FACTOR)


def is_given(request: HttpRequest) -> bool:
    """Return whether the session of a request has shown its second factor."""
    user: Any = request.user  # the middleware of django-otp gives every user this method
    return bool(user.is_verified())


def has_device(user: Any) -> bool:
    return TOTPDevice.objects.filter(user_id=user.pk, confirmed=True).exists()


def new_device(user: Any) -> TOTPDevice:
    """Return the device that is being enrolled: the same one until its first code is right."""
    device, _ = TOTPDevice.objects.get_or_create(user_id=user.pk, confirmed=False, defaults={"name": "authenticator"})
    return device


def qr_code(device: TOTPDevice) -> str:
    """Return what an authenticator app scans, as the address of an image."""
    return str(segno.make(device.config_url, micro=False).svg_data_uri(scale=5, border=3))


def written_key(device: TOTPDevice) -> str:
    """Return the key for typing, in groups of four."""
    text = base64.b32encode(device.bin_key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def check_code(request: HttpRequest, code: str) -> bool:
    """Take a code: a right one opens the session, and the first one of a new device confirms that device.

    A code is taken once, and after a wrong one the next is looked at a second later, then two, then four.
    """
    user: Any = request.user
    code = "".join(code.split())
    with transaction.atomic():
        known = TOTPDevice.objects.select_for_update().filter(user_id=user.pk, confirmed=True).first()
        device = known or new_device(user)
        if not code.isascii() or not code.isdigit() or len(code) != device.digits:
            return False
        accepted = verify_token(user, device.persistent_id, code) if known else _confirm(device, code)
        if not accepted:
            return False
        if not known:
            record_audit(user.get_username(), "enrol_second_factor", f"user:{user.get_username()}")
    note_in_session(request, device)
    request.session.cycle_key()
    return True


def _confirm(device: TOTPDevice, code: str) -> bool:
    if not device.verify_token(code):
        return False
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    return True


def forget_device(user: User, *, actor: str, reason: str) -> bool:
    """Take a lost device away: the person enrols a new one at the next login. Returns whether there was one."""
    with transaction.atomic():
        found, _ = TOTPDevice.objects.filter(user=user).delete()
        if found:
            record_audit(actor, "forget_second_factor", f"user:{user.get_username()}", reason=reason)
    return bool(found)


def present_code(device: TOTPDevice) -> str:
    """Return the code an app shows now; for tests and for whoever logs in by a program."""
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    totp.time = time.time()
    return f"{totp.token():06d}"
