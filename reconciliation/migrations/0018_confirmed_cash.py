"""Cash is watched once a later look agreed with what counting began with; what is watched already stays so."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0017_cash_fees")]

    operations = [
        migrations.AddField(
            model_name="reconciliationmark",
            name="cash_confirmed",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunSQL(
            "UPDATE reconciliation_reconciliationmark SET cash_confirmed = true WHERE cash IS NOT NULL",
            migrations.RunSQL.noop,
        ),
    ]
