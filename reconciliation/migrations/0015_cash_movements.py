from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0014_feed_policy")]

    operations = [
        migrations.AddField("reconciliationmark", "cash_movements", models.JSONField(db_default={}, default=dict)),
    ]
