from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0011_usual_silence")]

    operations = [
        migrations.AddField("reconciliationmark", "row_counts", models.JSONField(db_default={}, default=dict)),
    ]
