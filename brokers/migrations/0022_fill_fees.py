"""Fees of executions: rows of their own, because a broker may tell them later than the execution."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

TABLE = "brokers_fillfee"


class Migration(migrations.Migration):
    dependencies = [("brokers", "0021_settled_symbols")]

    operations = [
        migrations.CreateModel(
            name="FillFee",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("currency", models.CharField(max_length=16)),
                ("amount", models.DecimalField(decimal_places=12, max_digits=30)),
                ("symbol", models.CharField(blank=True, db_default="", default="", max_length=32)),
                ("recorded_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="brokers.account",
                    ),
                ),
                (
                    "fill",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fees",
                        to="brokers.fill",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["account", "id"], name="fillfee_account")],
                "constraints": [
                    models.UniqueConstraint(fields=("fill", "currency"), name="fillfee_currency"),
                    models.CheckConstraint(condition=models.Q(("amount", 0), _negated=True), name="fillfee_amount"),
                ],
            },
        ),
        migrations.AddField(
            model_name="positionevent",
            name="fee",
            field=models.OneToOneField(
                db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="brokers.fillfee"
            ),
        ),
        migrations.RunSQL(
            f"CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE ON {TABLE} "
            "FOR EACH ROW EXECUTE FUNCTION stanchion_refuse_change();"
            f"CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE} "
            "FOR EACH STATEMENT EXECUTE FUNCTION stanchion_refuse_change();"
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_append_only;"
            f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_no_truncate;",
            migrations.RunSQL.noop,
        ),
    ]
