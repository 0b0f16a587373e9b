"""Where a run keeps what the broker reported until it is compared: not logged, because a lost run is run again."""

from django.db import migrations

TABLES = {
    "reconciliation_reported_order": (
        "run_id bigint NOT NULL, broker_order_id text NOT NULL, client_order_id text NOT NULL, symbol text NOT NULL, "
        "side text NOT NULL, status text NOT NULL, quantity numeric, filled_quantity numeric NOT NULL, "
        "limit_price numeric, reported_at timestamptz"
    ),
    "reconciliation_reported_fill": (
        "run_id bigint NOT NULL, execution_id text NOT NULL, broker_order_id text NOT NULL, symbol text NOT NULL, "
        "side text NOT NULL, quantity numeric NOT NULL, price numeric NOT NULL, executed_at timestamptz NOT NULL, "
        "client_order_id text NOT NULL, cumulative_quantity numeric"
    ),
    "reconciliation_reported_position": (
        "run_id bigint NOT NULL, symbol text NOT NULL, quantity numeric NOT NULL, average_price numeric NOT NULL"
    ),
}


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0001_runs")]

    operations = [
        migrations.RunSQL(
            f"CREATE UNLOGGED TABLE {name} ({columns}) "
            "WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)",
            f"DROP TABLE {name}",
        )
        for name, columns in TABLES.items()
    ]
