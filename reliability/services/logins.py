"""Keep whoever guesses passwords waiting, and nobody else."""

from datetime import timedelta

from django.utils import timezone
from django.utils.crypto import salted_hmac

from reliability.core.logins import ADDRESS, KEPT, PAIR
from reliability.models import LoginFailure
from reliability.services.audit import record_audit


def begin_login(username: str, address: str) -> timedelta:
    """Count one try before the password is looked at; returns how long to wait instead, zero if it may be.

    It is counted first so that many at once are not all looked at.
    """
    person, source, now = _digest(username), address[:64], timezone.now()
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
    LoginFailure.objects.filter(person=_digest(username), address=address[:64]).delete()
    record_audit(username, "login", f"address:{address[:64]}")


def _digest(username: str) -> str:
    return salted_hmac("stanchion.logins", username.casefold(), algorithm="sha256").hexdigest()
