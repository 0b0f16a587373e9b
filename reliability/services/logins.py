"""Keep whoever guesses passwords waiting, and nobody else."""

from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from reliability.core.logins import ADDRESS, KEPT, PAIR, counted_source
from reliability.models import LoginFailure
from reliability.services.audit import record_audit

_LOCK_CLASS = 0x4C4F47  # of advisory locks: "LOG"


def begin_login(username: str, address: str) -> timedelta:
    """Count one try before the password is looked at; returns how long to wait instead, zero if it may be.

    It is counted first, and one after the other for each source, so that many at once are not all looked at.
    """
    with transaction.atomic():
        return _count(_digest(username), counted_source(address))


def _count(person: str, source: str) -> timedelta:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_CLASS, source])
    now = timezone.now()
    of_pair = LoginFailure.objects.filter(person=person, address=source).order_by("-at")
    of_address = LoginFailure.objects.filter(address=source).order_by("-at")
    waits = [
        limit.wait(list(rows.values_list("at", flat=True)[: limit.most]), now)
        for limit, rows in ((PAIR, of_pair), (ADDRESS, of_address))
    ]
    if max(waits):
        return max(waits)
    LoginFailure.objects.create(person=person, address=source, at=now)
    if of_pair.filter(at__gt=now - PAIR.window).count() == PAIR.most:
        record_audit("", "login_limit_reached", f"address:{source}", after={"tries": PAIR.most})
    LoginFailure.objects.filter(at__lt=now - KEPT).delete()
    return timedelta(0)


def end_login(username: str, address: str) -> None:
    """The password was right: what this person got wrong at this address is forgotten."""
    LoginFailure.objects.filter(person=_digest(username), address=counted_source(address)).delete()
    record_audit(username, "login", f"address:{address[:64]}")


def _digest(username: str) -> str:
    return salted_hmac("stanchion.logins", username.casefold(), algorithm="sha256").hexdigest()
