"""Migrations let older code go on; what would not is named, with what to do instead."""

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.core.management import call_command
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.state import ProjectState

from config.upgrades import APPS, BASELINE, find_clashes, judge_migration


@pytest.fixture(scope="module")
def state() -> ProjectState:
    return MigrationLoader(None).project_state()


def reasons(state: ProjectState, *operations: object) -> list[str]:
    migration = Migration("0099_next", "reliability")
    migration.operations = list(operations)
    return [clash.reason for clash in judge_migration(migration, state)]


def test_migrations_since_the_last_release_live_beside_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("check_migrations")
    assert "side by side" in capsys.readouterr().out


def test_the_baseline_names_migrations_that_there_are() -> None:
    nodes = MigrationLoader(None).graph.nodes
    assert set(BASELINE) <= set(APPS)
    assert all((app, name) in nodes for app, name in BASELINE.items())


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (migrations.RemoveField("job", "waits_for"), "one release later"),
        (migrations.DeleteModel("Lane"), "one release later"),
        (migrations.RenameField("job", "lane", "queue"), "one release later"),
        (migrations.AddField("job", "shard", models.IntegerField(default=0)), "nullable or have a db_default"),
        (migrations.AlterField("job", "lease_until", models.DateTimeField()), "still writes NULL"),
        (migrations.AlterField("job", "kind", models.CharField(max_length=32)), "longer values"),
        (migrations.AlterField("job", "priority", models.TextField()), "type changes"),
        (migrations.AddIndex("job", models.Index(fields=["kind"], name="job_kind")), "AddIndexConcurrently"),
        (
            migrations.AddConstraint(
                "job", models.CheckConstraint(condition=models.Q(attempt__gte=0), name="job_attempts")
            ),
            "AddConstraintNotValid",
        ),
        (migrations.RunSQL("DROP TABLE reliability_job"), "lives_beside_older_code"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_what_older_code_would_stumble_over_is_named(state: ProjectState, operation: object, reason: str) -> None:
    (found,) = reasons(state, operation)
    assert reason in found


def test_what_only_adds_is_fine(state: ProjectState) -> None:
    assert not reasons(
        state,
        migrations.AddField("job", "shard", models.IntegerField(null=True)),
        migrations.AddField("job", "zone", models.CharField(max_length=8, db_default="")),
        AddIndexConcurrently("job", models.Index(fields=["kind"], name="job_kind")),
        migrations.CreateModel("Shard", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("shard", "name", models.CharField(max_length=8)),
        migrations.AddIndex("shard", models.Index(fields=["name"], name="shard_name")),
        migrations.AlterField("job", "kind", models.CharField(max_length=128)),
    )


def test_without_a_baseline_the_first_migrations_are_judged_too() -> None:
    clashes = find_clashes({**BASELINE, "reliability": "0013_runbooks"})
    assert any(
        "0014_retention" in str(clash) for clash in clashes
    )  # its trigger is SQL, and it says nothing of older code
