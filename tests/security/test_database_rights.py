"""The role of our processes: it works, and what is written once it can only read and add to."""

import io
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone

from brokers.models import Account, Order, OrderEvent
from config.database_rights import grant_rights, list_append_only, list_problems
from reliability.services.audit import record_audit
from reliability.services.error_partitions import ensure_partitions
from tests.factories import make_user
from tests.fakes import FakeBroker, run_due

pytestmark = pytest.mark.django_db

ROLE = "stanchion_test_app"


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STANCHION_APP_DATABASE_PASSWORD", "a long enough password")
    out = io.StringIO()
    call_command("database_rights", ROLE, "--create", stdout=out)
    return out.getvalue()


@pytest.fixture
def as_app(owner: str) -> Iterator[None]:
    """What follows is done as the role of our processes."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {ROLE}")
        yield
        cursor.execute("RESET ROLE")


def refused(statement: str) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except ProgrammingError as error:
        return "permission denied" in str(error) or "must be owner" in str(error)
    return False


def test_the_tables_that_are_written_once_are_all_guarded() -> None:
    guarded = set(list_append_only())

    assert {
        "brokers_orderevent", "brokers_fill", "brokers_positionevent", "brokers_killswitchevent", "brokers_freezeevent",
        "brokers_historyanchor", "brokers_fillfee", "reliability_auditentry", "reliability_jobattempt",
        "reliability_circuittransition", "reliability_timelineentry", "reconciliation_barrevision",
    } <= guarded  # fmt: skip


def test_the_role_can_change_none_of_them(as_app: None) -> None:
    tables = list_append_only()

    for table in tables:
        column = _first_column(table)
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TABLE {table} CASCADE",
        ):
            assert refused(statement), statement
    assert refused("INSERT INTO django_migrations (app, name, applied) VALUES ('x', 'y', now())")
    assert refused("CREATE ROLE eve SUPERUSER")
    assert refused("DROP FUNCTION stanchion_refuse_change CASCADE")


def _first_column(table: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "AND attgenerated = '' AND attidentity <> 'a' ORDER BY attnum",
            [table],
        )
        return str(cursor.fetchone()[0])


def test_orders_go_through_as_the_role(as_app: None, broker: FakeBroker, account: Account) -> None:
    from tests.brokers.services.test_submission import submit  # the way callers do

    owner: AbstractBaseUser = make_user()
    order_id = submit(owner, "k1").id
    run_due("orders")

    assert Order.objects.get(pk=order_id).state == "working"
    assert OrderEvent.objects.filter(order=order_id).count() >= 2
    record_audit("ann", "looked", "order:1")
    ensure_partitions(timezone.now().date())


def test_rights_given_by_mistake_are_found_and_taken_again(owner: str) -> None:
    assert "may change none" in owner
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT DELETE ON brokers_fill TO {ROLE}")

    assert list_problems(ROLE) == [f"{ROLE} has DELETE on brokers_fill"]
    with pytest.raises(CommandError, match="has DELETE on brokers_fill"):
        call_command("database_rights", ROLE, "--check")
    grant_rights(ROLE)
    assert list_problems(ROLE) == []


def test_an_owner_or_superuser_is_told_to_be_one() -> None:
    with pytest.raises(CommandError, match="is a superuser"):
        call_command("database_rights", "--check")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        owner = cursor.fetchone()[0]
    with pytest.raises(CommandError, match="name another role"):
        call_command("database_rights", owner)
