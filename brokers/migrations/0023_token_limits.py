import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("brokers", "0022_fill_fees"), ("knox", "0009_extend_authtoken_field")]

    operations = [
        migrations.CreateModel(
            name="TokenLimit",
            fields=[
                (
                    "token",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="limit",
                        serialize=False,
                        to="knox.authtoken",
                    ),
                ),
                ("accounts", django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
            ],
            options={"default_permissions": ()},
        ),
        # Tokens that expired long ago are deleted by plain SQL: the limit goes with its token, and never before it.
        migrations.RunSQL(
            "ALTER TABLE brokers_tokenlimit ADD CONSTRAINT tokenlimit_token "
            "FOREIGN KEY (token_id) REFERENCES knox_authtoken (digest) ON DELETE CASCADE",
            "ALTER TABLE brokers_tokenlimit DROP CONSTRAINT tokenlimit_token",
        ),
    ]
