"""Backups: whole or not at all, and never restored over work."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection

from config import backups
from config.management.commands import backup


@pytest.mark.usefixtures("committed")
def test_a_backup_takes_the_place_of_a_database_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: Any) -> None:
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
        with psycopg.connect(**parameters) as before:
            before.execute("CREATE TABLE kept ()")
        half = tmp_path / "half.dump"
        half.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
        with pytest.raises(backups.BackupError, match="nothing is changed"):
            backups.put_in_place(half, wipe=True)
        with psycopg.connect(**parameters) as same:
            assert same.execute("SELECT count(*) FROM kept").fetchone() == (0,)

        backups.put_in_place(path, wipe=True)
        with pytest.raises(backups.BackupError, match=r"psql failed, nothing is changed.* already exists"):
            backups.put_in_place(path, wipe=False)
        with psycopg.connect(**parameters) as restored:
            assert restored.execute("SELECT to_regclass('kept')").fetchone() == (None,)
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
def test_a_backup_is_not_restored_over_what_is_there_or_under_work(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "night.dump"
    backups.create(path)
    target = f"{connection.settings_dict['NAME']}_kept"  # nobody but this test is connected to it
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{target}"')
    parameters = {**connection.get_connection_params(), "dbname": target, "cursor_factory": None}
    try:
        with psycopg.connect(**parameters) as other:
            other.execute("CREATE TABLE kept ()")
        alone = connection.copy()
        alone.settings_dict["NAME"] = target
        monkeypatch.setattr(backups, "connection", alone)
        with pytest.raises(CommandError, match="not empty"):
            call_command("backup", "restore", str(path))
        with psycopg.connect(**parameters), pytest.raises(CommandError, match="connected"):
            call_command("backup", "restore", str(path), "--wipe")
        alone.close()
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE "{target}" WITH (FORCE)')


def test_a_restored_database_is_migrated_before_it_is_held(tmp_path: Path, monkeypatch: Any) -> None:
    done: list[str] = []
    monkeypatch.setattr(backups, "restore", lambda path, *, wipe: done.append("restore"))
    monkeypatch.setattr(backup, "call_command", lambda name, **options: done.append(name))

    def fail(**values: str) -> None:
        done.append("hold")
        raise ProgrammingError("column does not exist")

    monkeypatch.setattr(backup, "hold_restored", fail)
    with pytest.raises(CommandError, match="NOT HELD"):
        call_command("backup", "restore", str(tmp_path / "night.dump"))
    assert done == ["restore", "migrate", "hold"]


def test_half_a_backup_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "half.dump"
    path.write_bytes(b"PGDMP" + b"\0" * 100)
    with pytest.raises(backups.BackupError):
        backups.check(path)
    with pytest.raises(backups.BackupError, match="no file"):
        backups.check(tmp_path / "none.dump")
