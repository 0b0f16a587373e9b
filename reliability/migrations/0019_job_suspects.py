from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # an index that is built while the table is in use

    dependencies = [("reliability", "0018_alert_thresholds")]

    operations = [
        AddIndexConcurrently(
            "job",
            models.Index(
                fields=["lane", "priority", "run_at"],
                condition=models.Q(state="ready", crashes__gte=2),
                name="job_suspects",
            ),
        ),
    ]
