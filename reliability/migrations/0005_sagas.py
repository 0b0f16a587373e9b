import django.db.models.deletion
import django.db.models.functions.datetime
import reliability.core.saga
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reliability', '0004_waiting_jobs'),
    ]

    operations = [
        migrations.CreateModel(
            name='Saga',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=48)),
                ('state', models.CharField(choices=[('running', 'running'), ('compensating', 'compensating'), ('needs_person', 'needs_person'), ('succeeded', 'succeeded'), ('compensated', 'compensated'), ('closed', 'closed')], default=reliability.core.saga.SagaState['RUNNING'], max_length=16)),
                ('step_order', models.CharField(choices=[('sequential', 'sequential'), ('parallel', 'parallel')], default=reliability.core.saga.StepOrder['SEQUENTIAL'], max_length=12)),
                ('payload', models.JSONField(blank=True, default=dict)),
                ('correlation_id', models.CharField(blank=True, default='', max_length=64)),
                ('version', models.PositiveIntegerField(default=0, help_text='Number of its events.')),
                ('error_code', models.CharField(blank=True, default='', max_length=64)),
                ('error_message', models.CharField(blank=True, default='', max_length=1000)),
                ('deadline_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-id'],
                'permissions': [('operate_saga', 'Can cancel, resume and close sagas')],
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('finished_at', None)), fields=['kind', 'id'], name='saga_unfinished')],
            },
        ),
        migrations.CreateModel(
            name='SagaEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sequence', models.PositiveIntegerField()),
                ('kind', models.CharField(max_length=32)),
                ('step', models.PositiveSmallIntegerField(null=True)),
                ('from_state', models.CharField(blank=True, default='', max_length=16)),
                ('to_state', models.CharField(blank=True, default='', max_length=16)),
                ('actor', models.CharField(blank=True, default='', max_length=150)),
                ('detail', models.JSONField(default=dict)),
                ('recorded_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('saga', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='events', to='reliability.saga')),
            ],
            options={
                'ordering': ['saga_id', 'sequence'],
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('saga', 'sequence'), name='sagaevent_sequence')],
            },
        ),
        migrations.CreateModel(
            name='SagaStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('action', models.CharField(max_length=48)),
                ('payload', models.JSONField(blank=True, default=dict)),
                ('state', models.CharField(choices=[('pending', 'pending'), ('running', 'running'), ('done', 'done'), ('failed', 'failed'), ('stopped', 'stopped')], default=reliability.core.saga.StepState['PENDING'], max_length=12)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('result', models.JSONField(blank=True, default=dict)),
                ('error_code', models.CharField(blank=True, default='', max_length=64)),
                ('error_message', models.CharField(blank=True, default='', max_length=1000)),
                ('compensation', models.CharField(choices=[('none', 'none'), ('running', 'running'), ('done', 'done'), ('failed', 'failed')], default=reliability.core.saga.CompensationState['NONE'], max_length=12)),
                ('undo_round', models.PositiveSmallIntegerField(default=0)),
                ('compensation_result', models.JSONField(blank=True, default=dict)),
                ('saga', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='reliability.saga')),
            ],
            options={
                'ordering': ['saga_id', 'number'],
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('saga', 'number'), name='sagastep_number')],
            },
        ),
        migrations.RunSQL(
            "CREATE TRIGGER reliability_sagaevent_append_only BEFORE UPDATE OR DELETE ON reliability_sagaevent "
            "FOR EACH ROW EXECUTE FUNCTION stanchion_refuse_change();"
            "CREATE TRIGGER reliability_sagaevent_no_truncate BEFORE TRUNCATE ON reliability_sagaevent "
            "FOR EACH STATEMENT EXECUTE FUNCTION stanchion_refuse_change();",
            migrations.RunSQL.noop,
        ),
    ]
