import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("brokers", "0019_simulated_accounts")]

    operations = [
        migrations.AddField(
            model_name="broker",
            name="max_calls_overall",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Calls under way at once in all processes together, if the broker limits them. Empty: no limit.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
    ]
