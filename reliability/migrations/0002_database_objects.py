"""What the models cannot say: the pulse sequence, the lanes, append-only guards, roles."""

from django.db import migrations

LANES = {"orders": 200, "recovery": 20, "market_data": 20, "alerts": 20, "default": 20}

GUARD = """
CREATE FUNCTION stanchion_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""


def append_only(table: str) -> str:
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION stanchion_refuse_change();"
    )


def add_lanes(apps, schema_editor):
    Lane = apps.get_model("reliability", "Lane")
    for name, concurrency in LANES.items():
        Lane.objects.get_or_create(name=name, defaults={"concurrency": concurrency})


class Migration(migrations.Migration):
    dependencies = [("reliability", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE reliability_pulse AS integer CYCLE", "DROP SEQUENCE reliability_pulse"
        ),
        migrations.RunSQL(GUARD, "DROP FUNCTION stanchion_refuse_change CASCADE"),
        migrations.RunSQL(append_only("reliability_jobattempt"), migrations.RunSQL.noop),
        migrations.RunSQL(append_only("reliability_auditentry"), migrations.RunSQL.noop),
        # Claimed and finished rows are rewritten in place: room in the page, and a vacuum that keeps up.
        migrations.RunSQL(
            "ALTER TABLE reliability_job SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.05)",
            migrations.RunSQL.noop,
        ),
        migrations.RunPython(add_lanes, migrations.RunPython.noop),
    ]
