"""Every exception class of the libraries that are installed is known to its source."""

import importlib
import warnings

import pytest

from reliability.core.classification import EFFECTFUL_OPERATIONS, Operation, RawFailure
from reliability.core.classifier import Classifier
from reliability.core.sources.registry import generic_resolvers

CLASSIFIER = Classifier(resolvers=generic_resolvers())
MODULES = [
    ("requests", "requests.exceptions"),
    ("httpx", "httpx"),
    ("httpx", "httpcore"),
    ("urllib3", "urllib3.exceptions"),
    ("aiohttp", "aiohttp.client_exceptions"),
    ("websockets", "websockets.exceptions"),
    ("psycopg", "psycopg.errors"),
    ("redis", "redis.exceptions"),
    ("redis", "redis.sentinel"),
    ("kombu", "kombu.exceptions"),
    ("celery", "celery.exceptions"),
    ("celery", "billiard.exceptions"),
    ("amqp", "amqp.exceptions"),
    ("python", "builtins"),
    ("python", "http.client"),
    ("python", "ssl"),
    ("python", "socket"),
    ("python", "asyncio"),
    ("python", "json"),
]
# Not failures of a call: control flow of the libraries, abstract parts and helpers.
NO_FAILURES = {
    "celery.exceptions": {"Ignore", "Reject", "Retry", "TaskPredicate", "ClickException", "CeleryCommandException"},
    "psycopg.errors": {"Warning", "_NoTraceback", "_WaitTimeout"},
    "kombu.exceptions": {"HttpError"},
    "billiard.exceptions": {"CoroStop", "RestartFreqExceeded"},
    "urllib3.exceptions": {"MessageDefect"},
    "asyncio": {"QueueEmpty", "QueueFull", "QueueShutDown", "SendfileNotAvailableError", "BrokenBarrierError"},
    "http.client": {"error", "UnimplementedFileMode"},
    "socket": {"error", "timeout", "_GiveupOnSendfile"},
}


def classes(module: str) -> list[str]:
    library = pytest.importorskip(module, reason=f"{module} is not installed")
    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for name in dir(library):
            member = getattr(library, name)
            if not isinstance(member, type) or not issubclass(member, BaseException) or issubclass(member, Warning):
                continue
            if member.__module__.split(".")[0] in (module.split(".")[0], f"_{module}", "concurrent", "builtins"):
                found.add(member)
    own = {one for one in found if one.__module__ != "builtins"} or found
    return sorted({one.__qualname__ for one in own} - NO_FAILURES.get(module, set()))


@pytest.mark.parametrize(("source", "module"), MODULES, ids=lambda value: value)
def test_every_class_is_known(source: str, module: str) -> None:
    names = classes(module)
    unknown = [
        name
        for name in names
        if CLASSIFIER.classify(RawFailure(source, Operation.SUBMIT, f"{module}.{name}")).guessed
        or CLASSIFIER.classify(RawFailure(source, Operation.SUBMIT, name)).guessed
    ]

    assert names
    assert unknown == []


@pytest.mark.parametrize("operation", sorted(EFFECTFUL_OPERATIONS))
@pytest.mark.parametrize(("source", "module"), MODULES, ids=lambda value: value)
def test_a_class_means_the_same_for_every_operation_with_an_effect_unless_a_commit(
    source: str, module: str, operation: Operation
) -> None:
    """What is proven about sending does not depend on what was sent; the database's answers to a commit do."""
    for name in classes(module):
        submit = CLASSIFIER.classify(RawFailure(source, Operation.SUBMIT, name))
        other = CLASSIFIER.classify(RawFailure(source, operation, name))
        assert other.ambiguous == submit.ambiguous, name


def test_the_modules_are_those_that_are_installed() -> None:
    assert [module for _, module in MODULES if importlib.util.find_spec(module) is None] == []
