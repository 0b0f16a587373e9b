"""Changes of circuits are part of the sealed history: the same guards as its other tables have."""

from django.db import migrations

TABLE = "reliability_circuittransition"


class Migration(migrations.Migration):
    dependencies = [
        ("brokers", "0004_history"),
        ("reliability", "0003_circuits_and_guesses"),
    ]

    operations = [
        migrations.RunSQL(
            f"CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE} "
            "FOR EACH STATEMENT EXECUTE FUNCTION stanchion_refuse_change();"
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_append_only;"
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_no_truncate;",
            f"DROP TRIGGER {TABLE}_no_truncate ON {TABLE};"
            f"ALTER TABLE {TABLE} ENABLE TRIGGER {TABLE}_append_only;",
        ),
    ]
