"""Faults of PostgreSQL and Valkey: away, emptied, full, read-only, without free connections."""

from contextlib import suppress

import psycopg
import redis

from config.chaos.faults.fault import Fault


class Wipe(Fault):
    """kill -9 Valkey, delete its data and start it empty."""

    kind = "wipe"

    def begin(self) -> None:
        self.stack.instance.control.wipe("valkey")


class ValkeySettings(Fault):
    """Change settings of Valkey, such as ``maxmemory = "1"``: then it refuses writes. The old values come back."""

    kind = "valkey_settings"

    def begin(self) -> None:
        with redis.Redis.from_url(self.stack.instance.env["REDIS_URL"]) as client:
            self._before = {name: client.config_get(name)[name] for name in self.options}
            for name, value in self.options.items():
                client.config_set(name, value)

    def heal(self) -> None:
        with redis.Redis.from_url(self.stack.instance.env["REDIS_URL"]) as client:
            for name, value in self._before.items():
                client.config_set(name, value)


class PostgresReadOnly(Fault):
    """PostgreSQL takes no writes, as a standby that was promoted too late; sessions keep going, statements fail."""

    kind = "postgres_read_only"

    def begin(self) -> None:
        self._set("ON")

    def heal(self) -> None:
        self._set("OFF")

    def _set(self, value: str) -> None:
        with psycopg.connect(self.stack.instance.env["DATABASE_URL"], autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
            connection.execute("SELECT pg_reload_conf()")


class SessionsEnded(Fault):
    """Every session of PostgreSQL but ours is ended at once."""

    kind = "sessions_ended"

    def begin(self) -> None:
        self.stack.query(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


class ConnectionStorm(Fault):
    """Sessions are opened until PostgreSQL refuses more, and held."""

    kind = "connection_storm"

    def begin(self) -> None:
        self._held: list[psycopg.Connection] = []
        with suppress(psycopg.OperationalError):
            for _ in range(int(self.options.get("most", 500))):
                self._held.append(psycopg.connect(self.stack.instance.env["DATABASE_URL"], connect_timeout=3))

    def heal(self) -> None:
        for connection in self._held:
            connection.close()


FAULTS = (Wipe, ValkeySettings, PostgresReadOnly, SessionsEnded, ConnectionStorm)
