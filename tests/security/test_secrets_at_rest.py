"""Secrets at rest: encrypted with keys that can be changed, and found in no dump, page, answer or log."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from brokers.models import Account
from brokers.services import credentials
from brokers.services.credentials import CredentialsUnreadableError, read_credentials, set_credentials
from reliability.core.errors import ReliabilityError
from reliability.models import AuditEntry, Recipient
from reliability.services import secrets
from reliability.services.recipients import save_recipient
from reliability.services.secrets import unseal
from tests.factories import make_account, make_user

pytestmark = pytest.mark.django_db

CANARY = "canary-7f3a9c51"
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()
UseKeys = Callable[..., None]


@pytest.fixture
def use_keys(monkeypatch: pytest.MonkeyPatch) -> UseKeys:
    """Configure the keys of the installation, newest first."""

    def use(*keys: str) -> None:
        for module in (credentials, secrets):
            conf = replace(module.get_conf(), encryption_keys=keys)
            monkeypatch.setattr(module, "get_conf", lambda conf=conf: conf)

    return use


def make_secrets() -> tuple[Account, Recipient]:
    account = make_account()
    set_credentials(account, {"api_key": "key-of-" + CANARY, "api_secret": CANARY})
    return account, save_recipient("hook", f"jsons://desk:{CANARY}@example.com/", actor="admin")


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("credentials", *arguments, stdout=out)
    return out.getvalue()


def everything_stored() -> str:
    """Return every row of every table as text: what a dump of the database holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        texts = []
        for table in tables:
            cursor.execute(f"SELECT string_agg(one::text, ' ') FROM {table} one")
            texts.append(cursor.fetchone()[0] or "")
    return " ".join(texts)


def test_a_dump_of_the_database_holds_no_secret(use_keys: UseKeys) -> None:
    use_keys(NEW)
    make_secrets()

    dump = everything_stored()

    assert CANARY not in dump
    assert CANARY.encode().hex() not in dump  # how PostgreSQL writes bytes
    assert "jsons://example.com" in dump  # it does hold what is no secret


def test_the_newest_key_takes_over_and_the_old_one_is_dead(use_keys: UseKeys) -> None:
    use_keys(OLD)
    account, recipient = make_secrets()
    version = account.credentials_version
    use_keys(NEW, OLD)
    with pytest.raises(CommandError, match="2 still need an older key"):
        run("status")

    output = run("rotate")

    assert "2 encrypted anew" in output
    use_keys(NEW)
    account.refresh_from_db()
    recipient.refresh_from_db()
    assert read_credentials(account)["api_secret"] == CANARY
    assert CANARY in unseal(recipient.address)
    assert account.credentials_version == version  # no session is made anew
    assert AuditEntry.objects.filter(action="rotate_key").count() == 2
    use_keys(OLD)
    with pytest.raises(CredentialsUnreadableError):
        read_credentials(account)
    with pytest.raises(ReliabilityError):
        unseal(recipient.address)


def test_a_second_rotation_changes_nothing(use_keys: UseKeys) -> None:
    use_keys(NEW)
    account, _ = make_secrets()

    output = run("rotate")

    assert "0 encrypted anew" in output
    assert bytes(Account.objects.get().encrypted_credentials) == bytes(account.encrypted_credentials)


def test_a_secret_without_its_key_is_told_and_left_as_it_is(use_keys: UseKeys) -> None:
    use_keys(OLD)
    account, _ = make_secrets()
    use_keys(NEW)

    with pytest.raises(CommandError, match="no configured key opens: account:desk, recipient:hook"):
        run("rotate")

    assert bytes(Account.objects.get().encrypted_credentials) == bytes(account.encrypted_credentials)


def test_one_flipped_byte_is_an_error_and_no_garbage(use_keys: UseKeys) -> None:
    use_keys(NEW)
    account, _ = make_secrets()
    sealed = bytearray(account.encrypted_credentials)
    sealed[len(sealed) // 2] ^= 1
    account.encrypted_credentials = bytes(sealed)

    with pytest.raises(CredentialsUnreadableError):
        read_credentials(account)


def test_no_page_answer_or_line_shows_a_secret(
    use_keys: UseKeys, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    use_keys(NEW)
    account, recipient = make_secrets()
    user = make_user()
    user.is_superuser = True
    user.save()
    client.force_login(user)
    addresses = [
        reverse("admin:brokers_account_change", args=[account.pk]),
        reverse("admin:brokers_account_changelist"),
        reverse("admin:reliability_recipient_change", args=[recipient.pk]),
        reverse("admin:reliability_recipient_changelist"),
        reverse("admin:reliability_auditentry_changelist"),
        "/api/v1/accounts",
    ]

    answers = [client.get(address) for address in addresses]

    assert [answer.status_code for answer in answers] == [200] * len(answers)
    for text in (*(answer.content.decode() for answer in answers), caplog.text, run("status")):
        assert CANARY not in text
