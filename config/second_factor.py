"""The second factor: codes of an authenticator app (TOTP), one device for each person, each code taken once."""

import base64
import time
from datetime import datetime, timedelta
from typing import Any

import segno
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django_otp import login as note_in_session
from django_otp.oath import TOTP
from django_otp.plugins.otp_totp.models import TOTPDevice

from reliability.services.audit import record_audit

LONGEST_WAIT = timedelta(minutes=15)
AUDITED_FROM = 3  # wrong codes one after the other: typing errors are fewer
_COUNTED = 11  # from here on each wait is the longest: 2 ** 10 seconds are more than 15 minutes


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

    A code is taken once, and after a wrong one the next is looked at a second later, then two, then four, up to
    ``LONGEST_WAIT``: whoever has the password alone can keep its owner waiting for so long and no longer.
    """
    user: Any = request.user
    code = "".join(code.split())
    with transaction.atomic():
        known = TOTPDevice.objects.select_for_update().filter(user_id=user.pk, confirmed=True).first()
        device = known or new_device(user)
        if not code.isascii() or not code.isdigit() or len(code) != device.digits:
            return False
        if _ends_at(device) is not None:
            return False
        device.throttling_failure_count = min(device.throttling_failure_count, _COUNTED - 1)
        if not device.verify_token(code):
            _note_wrong(device, user.get_username())
            return False
        if not known:
            device.confirmed = True
            device.save(update_fields=["confirmed"])
            record_audit(user.get_username(), "enrol_second_factor", f"user:{user.get_username()}")
    note_in_session(request, device)
    request.session.cycle_key()
    return True


def waits_until(user: Any) -> datetime | None:
    """Return when the next code of a person is looked at; ``None`` if it is now."""
    device = TOTPDevice.objects.filter(user_id=user.pk).order_by("-confirmed").first()
    return _ends_at(device) if device else None


def _ends_at(device: TOTPDevice) -> datetime | None:
    count, last = min(device.throttling_failure_count, _COUNTED), device.throttling_failure_timestamp
    if not count or last is None:
        return None
    ends_at = last + min(timedelta(seconds=2 ** (count - 1)), LONGEST_WAIT)
    return ends_at if ends_at > timezone.now() else None


def _note_wrong(device: TOTPDevice, username: str) -> None:
    count = device.throttling_failure_count
    if count >= AUDITED_FROM:
        record_audit(username, "second_factor_wrong", f"user:{username}", after={"one_after_the_other": count})


def forget_device(user: User, *, actor: str, reason: str) -> bool:
    """Take a lost device away, and the password with it; returns whether there was one.

    Whoever wants a device forgotten may be who stole the password, and the next login enrols a new one: so all
    sessions end, and nobody logs in until a new password is set and handed over.
    """
    with transaction.atomic():
        found, _ = TOTPDevice.objects.filter(user=user).delete()
        if found:
            user.set_unusable_password()  # each session holds a mark of the password, and is refused without it
            user.save(update_fields=["password"])
            record_audit(actor, "forget_second_factor", f"user:{user.get_username()}", reason=reason)
    return bool(found)


def present_code(device: TOTPDevice) -> str:
    """Return the code an app shows now; for tests and for whoever logs in by a program."""
    totp = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
    totp.time = time.time()
    return f"{totp.token():06d}"
