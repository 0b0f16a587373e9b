"""Seals and anchors of append-only rows, and guards that hold against TRUNCATE and replica sessions too."""

from django.db import migrations, models

GUARDED_BEFORE = (
    "brokers_orderevent", "brokers_fill", "brokers_positionevent", "reliability_auditentry", "reliability_jobattempt",
)
NEW = ("brokers_event_seal", "brokers_historyanchor")


def guard(table: str) -> str:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION stanchion_refuse_change();"
    )


def guard_whole(table: str) -> str:
    """No TRUNCATE either; and neither guard is left out where session_replication_role says so."""
    return (
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION stanchion_refuse_change();"
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only;"
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_no_truncate;"
    )


def unguard_whole(table: str) -> str:
    return (
        f"DROP TRIGGER {table}_no_truncate ON {table};"
        f"ALTER TABLE {table} ENABLE TRIGGER {table}_append_only;"
    )


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0003_routes_and_limits"),
        ("reliability", "0002_database_objects"),
    ]

    operations = [
        migrations.CreateModel(
            name="SealedRow",
            fields=[
                ("pk", models.CompositePrimaryKey("ledger", "row_id", blank=True, editable=False, primary_key=True, serialize=False)),
                ("row_id", models.BigIntegerField()),
                ("position", models.BigIntegerField()),
                ("anchor", models.BigIntegerField()),
                ("ledger", models.SmallIntegerField()),
                ("form", models.SmallIntegerField()),
                ("previous", models.BinaryField()),
                ("hash", models.BinaryField()),
            ],
            options={"db_table": "brokers_event_seal", "default_permissions": ()},
        ),
        migrations.CreateModel(
            name="HistoryAnchor",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("rows", models.PositiveIntegerField()),
                ("previous", models.BinaryField()),
                ("root", models.BinaryField()),
                ("contents", models.TextField()),
                ("marks", models.BinaryField()),
                ("hash", models.BinaryField()),
                ("recorded_at", models.DateTimeField(db_index=True)),
            ],
            options={"ordering": ["-number"], "default_permissions": ("view",)},
        ),
        migrations.CreateModel(
            name="SealCursor",
            fields=[
                ("ledger", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("sealed_id", models.BigIntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("head", models.BinaryField(default=bytes(32))),
                ("gaps", models.JSONField(default=list)),
                ("caught_up_at", models.DateTimeField(null=True)),
            ],
            options={"default_permissions": ()},
        ),
        # Seals are written in the order of their anchors, so a summary of page ranges finds them.
        migrations.RunSQL(
            "CREATE INDEX event_seal_anchor ON brokers_event_seal USING brin (anchor) WITH (pages_per_range = 8, autosummarize = on)",
            "DROP INDEX event_seal_anchor",
        ),
        *[migrations.RunSQL(guard(table), migrations.RunSQL.noop) for table in NEW],
        *[migrations.RunSQL(guard_whole(table), unguard_whole(table)) for table in (*GUARDED_BEFORE, *NEW)],
    ]
