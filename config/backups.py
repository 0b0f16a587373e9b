"""Backups of the database: dumped and restored with PostgreSQL's own programs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db import connection

from config.stack import postgres
from config.stack.launch import Account

_CLEAR = "DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_EMPTY = (
    "SELECT NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p'))"
)


class BackupError(Exception):
    """A backup could not be taken or restored; the message is one line for the operator."""


def create(path: Path) -> int:
    """Dump the database into ``path``, complete or not at all; returns the file's size in bytes.

    Work goes on meanwhile: the dump is of one instant, that of its beginning.

    Raises:
        BackupError: pg_dump failed or is not there.
    """
    half = path.with_name(f".{path.name}.part")
    half.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(half, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)  # it holds what the database does
    os.close(descriptor)
    _run("pg_dump", ["--format=custom", "--no-owner", "--file", str(half)])
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.replace(path)
    return path.stat().st_size


def check(path: Path) -> int:
    """Read a backup to its end and return how many objects its table of contents lists. Raises ``BackupError``."""
    if not path.is_file():
        raise BackupError(f"there is no file {path}")
    listing = _run("pg_restore", ["--list", str(path)], connects=False)
    _run("pg_restore", ["--file", os.devnull, str(path)], connects=False)
    return sum(1 for line in listing.splitlines() if line and not line.startswith(";"))


def restore(path: Path, *, wipe: bool) -> None:
    """Put a backup in the place of what the database holds, as a whole or not at all.

    Raises:
        BackupError: somebody else is connected, the database is not empty and ``wipe`` is False, or pg_restore failed.
    """
    check(path)
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS)
        others = cursor.fetchone()[0]
        if others:
            raise BackupError(f"{others} others are connected to the database: stop every process first")
        cursor.execute(_EMPTY)
        if not cursor.fetchone()[0] and not wipe:
            raise BackupError("the database is not empty; --wipe deletes everything that is in it")
    connection.close()
    put_in_place(path, wipe=wipe)


def put_in_place(path: Path, *, wipe: bool) -> None:
    """Run a backup, and what clears the way for it, as one transaction: without its last word nothing has happened.

    Raises:
        BackupError: one of the programs failed; the database is as it was.
    """
    with tempfile.TemporaryFile() as read_errors, tempfile.TemporaryFile() as write_errors:
        reading = [_program("pg_restore"), "--no-owner", "--file=-", str(path)]
        writing = [_program("psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--output={os.devnull}"]
        with (
            subprocess.Popen(reading, env=_environment(), stdout=subprocess.PIPE, stderr=read_errors) as reader,
            subprocess.Popen(
                writing, env=_environment(connects=True), stdin=subprocess.PIPE, stderr=write_errors
            ) as writer,
        ):
            _pass_on(reader, writer, wipe=wipe)
        for name, process, errors in (("psql", writer, write_errors), ("pg_restore", reader, read_errors)):
            if process.returncode:
                errors.seek(0)
                text = errors.read().decode(errors="replace")
                raise BackupError(f"{name} failed, nothing is changed: {' '.join(text.split())[:500]}")


def _pass_on(reader: subprocess.Popen[bytes], writer: subprocess.Popen[bytes], *, wipe: bool) -> None:
    """Commit only what was read to its end; a writer that has stopped says why with its exit status."""
    assert reader.stdout is not None
    assert writer.stdin is not None
    try:
        writer.stdin.write(f"BEGIN;\n{_CLEAR if wipe else ''}\n".encode())
        shutil.copyfileobj(reader.stdout, writer.stdin, 1 << 20)
        if reader.wait() == 0:
            writer.stdin.write(b"\nCOMMIT;\n")
        writer.stdin.close()
    except BrokenPipeError:
        reader.kill()
        with suppress(BrokenPipeError):
            writer.stdin.close()


def _run(name: str, arguments: Sequence[str], *, connects: bool = True) -> str:
    argv = [_program(name), *arguments]
    done = subprocess.run(argv, env=_environment(connects=connects), capture_output=True, text=True)
    if done.returncode:
        raise BackupError(f"{name} failed: {' '.join(done.stderr.split())[:500]}")
    return done.stdout


def _environment(*, connects: bool = False) -> dict[str, str]:
    environment = {**postgres.clean_environment(), **(_login() if connects else {})}
    return {**environment, **{key: value for key, value in os.environ.items() if key.startswith("PGSSL")}}


def _program(name: str) -> str:
    """Return the program of the embedded server, which reads every version up to its own, or the one on PATH."""
    try:
        return str(postgres.program(name, Account.SAME))
    except postgres.PostgresError:
        found = shutil.which(name)
    if found is None:
        raise BackupError(f"{name} is not installed")
    return found


def _login() -> dict[str, str]:
    values: dict[str, Any] = connection.settings_dict
    return {
        "PGHOST": str(values["HOST"]),
        "PGPORT": str(values["PORT"]),
        "PGUSER": str(values["USER"]),
        "PGPASSWORD": str(values["PASSWORD"]),
        "PGDATABASE": _name(),
    }


def _name() -> str:
    return str(connection.settings_dict["NAME"])
