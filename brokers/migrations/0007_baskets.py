import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('brokers', '0006_kill_switch'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Basket',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('idempotency_key', models.CharField(max_length=128)),
                ('request_hash', models.CharField(max_length=64)),
                ('correlation_id', models.CharField(blank=True, default='', max_length=64)),
                ('leg_order', models.CharField(max_length=12)),
                ('offset_fills', models.BooleanField(default=False, help_text='Whether the caller, or a person, agreed that fills are offset by market orders.')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('owner', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-id'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='BasketLeg',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('request', models.JSONField()),
                ('offset_orders', django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), blank=True, default=list, size=None)),
                ('basket', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='legs', to='brokers.basket')),
                ('order', models.OneToOneField(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='basket_leg', to='brokers.order')),
            ],
            options={
                'ordering': ['basket_id', 'number'],
                'default_permissions': ('view',),
            },
        ),
        migrations.AddConstraint(
            model_name='basket',
            constraint=models.UniqueConstraint(fields=('owner', 'idempotency_key'), name='basket_idempotency_key'),
        ),
        migrations.AddConstraint(
            model_name='basketleg',
            constraint=models.UniqueConstraint(fields=('basket', 'number'), name='basketleg_number'),
        ),
    ]
