"""What the models cannot say: append-only guards and storage."""

from django.db import migrations


def append_only(table: str) -> str:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION stanchion_refuse_change();"
    )


class Migration(migrations.Migration):
    dependencies = [("brokers", "0001_initial"), ("reliability", "0002_database_objects")]

    operations = [
        migrations.RunSQL(append_only("brokers_orderevent"), migrations.RunSQL.noop),
        migrations.RunSQL(append_only("brokers_fill"), migrations.RunSQL.noop),
        migrations.RunSQL(append_only("brokers_positionevent"), migrations.RunSQL.noop),
        migrations.RunSQL(
            "ALTER TABLE brokers_order SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05)",
            migrations.RunSQL.noop,
        ),
    ]
