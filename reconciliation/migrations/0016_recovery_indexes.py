from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0015_cash_movements")]

    operations = [
        migrations.AddIndex("drill", models.Index(fields=["account", "-injected_at"], name="drill_injected")),
        migrations.AddIndex("recoveryrun", models.Index(fields=["-started_at"], name="recoveryrun_started")),
    ]
