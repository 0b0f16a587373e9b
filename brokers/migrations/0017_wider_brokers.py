import django.core.validators
from django.db import migrations, models

# A broker with the old default gets the new one, also where a person chose just that number; other numbers stay.
_WIDEN = "UPDATE brokers_broker SET max_concurrent_calls = 100 WHERE max_concurrent_calls = 60"
_NARROW = "UPDATE brokers_broker SET max_concurrent_calls = 60 WHERE max_concurrent_calls = 100"


class Migration(migrations.Migration):
    dependencies = [("brokers", "0016_set_credentials")]

    operations = [
        migrations.AlterField(
            model_name="broker",
            name="max_concurrent_calls",
            field=models.PositiveIntegerField(
                default=100,
                help_text="Calls under way at once in one process; what is left of a process stays free for other brokers.",
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.RunSQL(_WIDEN, _NARROW),
    ]
