"""Backups: whole or not at all, and never restored over work."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from config import backups


@pytest.mark.usefixtures("committed")
def test_a_backup_is_taken_checked_and_restored_into_an_empty_database(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "night.dump"
    call_command("backup", "create", str(path))
    assert path.stat().st_mode & 0o077 == 0
    assert backups.check(path) > 100

    target = f"{connection.settings_dict['NAME']}_restored"
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{target}"')
        cursor.execute("SELECT count(*) FROM django_migrations")
        migrations = cursor.fetchone()[0]
    parameters = {**connection.get_connection_params(), "dbname": target, "cursor_factory": None}
    try:
        monkeypatch.setattr(backups, "_name", lambda: target)
        backups._run("pg_restore", [*backups.RESTORING, "--dbname", target, str(path)])
        with psycopg.connect(**parameters) as restored:
            assert restored.execute("SELECT count(*) FROM django_migrations").fetchone() == (migrations,)
            triggers = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE '%_append_only'"
            guards = restored.execute(triggers).fetchone()
        with connection.cursor() as cursor:
            cursor.execute(triggers)
            assert guards == cursor.fetchone()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{target}" WITH (FORCE)')


@pytest.mark.usefixtures("committed")
def test_a_backup_is_not_restored_over_what_is_there_or_under_work(tmp_path: Path) -> None:
    path = tmp_path / "night.dump"
    backups.create(path)
    with pytest.raises(CommandError, match="not empty"):
        call_command("backup", "restore", str(path))
    other = psycopg.connect(**{**connection.get_connection_params(), "cursor_factory": None})
    with other, pytest.raises(CommandError, match="connected"):
        call_command("backup", "restore", str(path), "--wipe")


def test_half_a_backup_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "half.dump"
    path.write_bytes(b"PGDMP" + b"\0" * 100)
    with pytest.raises(backups.BackupError):
        backups.check(path)
    with pytest.raises(backups.BackupError, match="no file"):
        backups.check(tmp_path / "none.dump")
