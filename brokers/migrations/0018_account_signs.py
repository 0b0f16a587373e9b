import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("brokers", "0017_wider_brokers")]

    operations = [
        migrations.AddField(
            "account",
            "added_at",
            models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddField(
            "account",
            "login_refused_at",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            "account",
            "login_refused_since",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            "account",
            "login_refused",
            models.CharField(blank=True, db_default="", default="", editable=False, max_length=300),
        ),
        migrations.AddField("account", "clock_offset", models.DurationField(blank=True, editable=False, null=True)),
        migrations.AddField("account", "clock_seen_at", models.DateTimeField(blank=True, editable=False, null=True)),
    ]
