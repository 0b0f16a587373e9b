"""Whether migrations let the code of the release before go on working: old and new processes run side by side.

The schema is migrated first, while old processes work; then they are replaced one after the other. So a migration only
adds, and what it adds must be of no concern to code that knows nothing of it. What a release stops using, a later one
takes away.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.contrib.postgres.operations import AddConstraintNotValid, AddIndexConcurrently, ValidateConstraint
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.migration import Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Field, ManyToManyField
from django.db.models.fields import NOT_PROVIDED

APPS = ("reliability", "brokers", "reconciliation")
BASELINE: dict[str, str] = {}
"""The last migration of each app that the latest release has; an app without one was not released yet, and has no older
code to live beside. It is set with a release."""

_DESTROYING = (
    operations.RemoveField,
    operations.DeleteModel,
    operations.RenameField,
    operations.RenameModel,
    operations.AlterModelTable,
    operations.RemoveConstraint,
)
_HARMLESS = (
    operations.CreateModel,
    operations.AlterModelOptions,
    operations.AlterModelManagers,
    operations.AlterModelTableComment,
    operations.RemoveIndex,
    operations.RenameIndex,
    AddIndexConcurrently,
    AddConstraintNotValid,
    ValidateConstraint,
)


@dataclass(frozen=True, slots=True)
class Clash:
    """What older code would stumble over."""

    migration: str
    reason: str

    def __str__(self) -> str:
        return f"{self.migration}: {self.reason}"


def find_clashes(baseline: Mapping[str, str] = BASELINE) -> list[Clash]:
    """Return what is wrong with the migrations after the baseline of each of our apps.

    A migration whose class has ``lives_beside_older_code = "why"`` is believed: for SQL that this cannot read, and
    for taking away what the release before does not use any more.
    """
    loader = MigrationLoader(None)
    clashes: list[Clash] = []
    for app in (app for app in APPS if app in baseline):
        names = sorted(name for label, name in loader.graph.nodes if label == app)
        made: set[str] = set()
        for name in names[names.index(baseline[app]) + 1 :]:
            migration = loader.graph.nodes[app, name]
            if not getattr(migration, "lives_beside_older_code", ""):
                state = loader.project_state((app, name), at_end=False)
                clashes += judge_migration(migration, state, made)
            made |= {one.name_lower for one in migration.operations if isinstance(one, operations.CreateModel)}
    return clashes


def judge_migration(migration: Migration, state: ProjectState, made: Sequence[str] | set[str] = ()) -> list[Clash]:
    """Return what is wrong with one migration; ``state`` is that before it, ``made`` are models that are as new."""
    new = {one.name_lower for one in migration.operations if isinstance(one, operations.CreateModel)} | set(made)
    name = f"{migration.app_label}.{migration.name}"
    return [Clash(name, reason) for one in migration.operations for reason in _judge(one, migration, state, new)]


def _judge(one: Operation, migration: Migration, state: ProjectState, new: set[str]) -> Iterator[str]:
    if isinstance(one, operations.SeparateDatabaseAndState):
        for inner in one.database_operations:
            yield from _judge(inner, migration, state, new)
        return
    if isinstance(one, _HARMLESS):
        return
    model = str(getattr(one, "model_name", "")).lower()
    if model in new:
        return  # no older code knows it
    what = one.describe()
    if isinstance(one, _DESTROYING):
        yield f"{what}: older code still uses it; take it away one release later"
    elif isinstance(one, operations.AddField):
        if not _fills_itself(one.field):
            yield f"{what}: older code does not write it, so it must be nullable or have a db_default"
    elif isinstance(one, operations.AlterField):
        yield from _judge_change(one, state.models[migration.app_label, model].fields[one.name], what)
    elif isinstance(one, operations.AddIndex):
        yield f"{what}: it locks the table while it is built; use AddIndexConcurrently, not atomic"
    elif isinstance(one, operations.AddConstraint):
        yield f"{what}: it locks the table, and older code does not know it; use AddConstraintNotValid"
    else:
        yield f"{what}: say on the migration why it lives beside older code (lives_beside_older_code)"


def _fills_itself(field: Field) -> bool:
    return field.null or field.db_default is not NOT_PROVIDED or isinstance(field, ManyToManyField)


def _judge_change(one: operations.AlterField, before: Field, what: str) -> Iterator[str]:
    after = one.field
    if before.null and not after.null:
        yield f"{what}: older code still writes NULL"
    if type(before) is not type(after) and before.get_internal_type() != after.get_internal_type():
        yield f"{what}: the column's type changes under older code"
    if before.max_length is not None and (after.max_length or 0) < before.max_length:
        yield f"{what}: older code still writes longer values"
    if not before.unique and after.unique:
        yield f"{what}: older code may write a value twice"
    if before.db_default is not NOT_PROVIDED and after.db_default is NOT_PROVIDED and not after.null:
        yield f"{what}: code that does not write it needs its db_default"
