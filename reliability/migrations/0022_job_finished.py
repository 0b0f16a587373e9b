from django.contrib.postgres.indexes import BrinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    atomic = False  # an index that is built while the table is in use

    dependencies = [("reliability", "0021_proposed_changes")]

    operations = [
        AddIndexConcurrently(
            "job",
            BrinIndex(fields=["finished_at"], pages_per_range=32, autosummarize=True, name="job_finished"),
        ),
    ]
