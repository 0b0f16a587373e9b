"""What the database lets our processes do: everything they do, and no change of what is written once.

Triggers refuse changes of append-only tables already. A role without the right makes that hold against a mistake in a
trigger, too, and keeps triggers and tables from being altered by whoever got hold of a process.
"""

from collections.abc import Sequence

from django.db import connection, transaction
from psycopg import sql

_GUARDED = """
SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE t.tgname LIKE '%\\_append\\_only' AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
ORDER BY c.relname
"""
# Their partitions are made and dropped while processes run, so those own them. No history of orders is among them.
_PARTITIONED = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND (c.relkind = 'p' OR c.relispartition)
AND c.relkind IN ('p', 'r') ORDER BY c.relispartition, c.relname
"""
_SCHEMA_ONLY = ("django_migrations",)
_HELD = """
SELECT c.relname, p.name FROM pg_class c, unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) p(name)
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(%s) AND has_table_privilege(%s, c.oid, p.name)
ORDER BY 1, 2
"""


def list_append_only() -> list[str]:
    """Return the tables that are written once, but for those that processes own because they make their partitions."""
    partitioned = set(_names(_PARTITIONED))
    return [name for name in _names(_GUARDED) if name not in partitioned]


def create_role(role: str, password: str) -> bool:
    """Make a role that can log in, or give it this password; returns whether it is new."""
    name = sql.Identifier(role)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
        is_new = cursor.fetchone() is None
        verb = sql.SQL("CREATE ROLE" if is_new else "ALTER ROLE")
        flags = sql.SQL("LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS")
        cursor.execute(sql.SQL("{} {} {} PASSWORD {}").format(verb, name, flags, sql.Literal(password)))
    return is_new


def grant_rights(role: str) -> Sequence[str]:
    """Give a role what our processes need and take the rest, as the owner of the tables; returns the guarded tables.

    Run it after each migration: a new table has no rights for the role until then.
    """
    name, guarded = sql.Identifier(role), list_append_only()
    with transaction.atomic(), connection.cursor() as cursor:

        def run(statement: str, **parts: sql.Composable) -> None:
            cursor.execute(sql.SQL(statement).format(role=name, **parts))

        run("GRANT USAGE, CREATE ON SCHEMA public TO {role}")
        run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        run("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
        for table in guarded:
            run(
                "REVOKE UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON {table} FROM {role}",
                table=sql.Identifier(table),
            )
        for table in _SCHEMA_ONLY:
            run("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {table} FROM {role}", table=sql.Identifier(table))
        run("GRANT {role} TO CURRENT_USER")  # whoever migrates goes on to alter what the role owns
        for table in _names(_PARTITIONED):
            run("ALTER TABLE {table} OWNER TO {role}", table=sql.Identifier(table))
    return guarded


def list_problems(role: str) -> list[str]:
    """Return what a role may do and should not, in words; empty for one that is as it should be."""
    guarded, problems = list_append_only(), []
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role])
        found = cursor.fetchone()
        if found is None:
            return [f"there is no role {role}"]
        problems += [f"{role} is a superuser"] if found[0] else []
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relnamespace = 'public'::regnamespace "
            "AND pg_has_role(%s, relowner, 'MEMBER') ORDER BY 1",
            [guarded, role],
        )
        owned = [row[0] for row in cursor.fetchall()]
        problems += [f"{role} owns {', '.join(owned)}"] if owned else []
        cursor.execute(_HELD, [guarded, role])
        held: dict[str, list[str]] = {}
        for table, right in cursor.fetchall():
            held.setdefault(table, []).append(right)
        problems += [f"{role} has {', '.join(rights)} on {table}" for table, rights in held.items()]
    return problems


def current_role() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        return str(cursor.fetchone()[0])


def _names(query: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]
