from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0016_recovery_indexes")]

    operations = [
        migrations.AddField("reconciliationmark", "cash_fee_id", models.BigIntegerField(db_default=0, default=0)),
    ]
