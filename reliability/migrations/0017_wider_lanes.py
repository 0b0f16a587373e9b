from django.db import migrations, models

# A lane with the old default gets the new one, also where a person chose just that number; other numbers stay.
_WIDEN = "UPDATE reliability_lane SET concurrency = 200 WHERE concurrency = 100"
_NARROW = "UPDATE reliability_lane SET concurrency = 100 WHERE concurrency = 200"


class Migration(migrations.Migration):
    dependencies = [("reliability", "0016_job_trace_context")]

    operations = [
        migrations.AlterField(
            model_name="lane",
            name="concurrency",
            field=models.PositiveSmallIntegerField(
                default=200, help_text="Calls under way at once in one pool process."
            ),
        ),
        migrations.RunSQL(_WIDEN, _NARROW),
    ]
