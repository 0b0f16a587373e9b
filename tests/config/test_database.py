"""What our database backend adds to Django's."""

import pytest
from django.db import connection


def _idle_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        return str(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_migration_is_not_cut_off_while_it_thinks() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = '7s'")
    try:
        with connection.schema_editor():
            assert _idle_timeout() == "0"
        assert _idle_timeout() == "7s", "whatever comes after it is"
    finally:
        connection.close()
