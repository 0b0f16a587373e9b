"""What makes two errors the same, and that groups outlive releases."""

from typing import Any

import pytest

from reliability.core import fingerprint
from reliability.core.fingerprint import ErrorFacts, fingerprint_of, former_fingerprints
from reliability.core.taxonomy import ErrorCategory, ErrorSeverity


def facts(**values: Any) -> ErrorFacts:
    usual = {
        "source": "sim-a",
        "operation": "submit",
        "code": "NETWORK_CONNECT_REFUSED",
        "category": ErrorCategory.NETWORK,
        "severity": ErrorSeverity.HIGH,
        "kind": "ConnectionRefusedError",
        "place": "brokers.services.submission.submit_order",
    }
    return ErrorFacts(**{**usual, **values})


@pytest.mark.parametrize(
    "change",
    [
        {"source": "sim-b"},
        {"operation": "cancel"},
        {"code": "NETWORK_DNS_FAILED"},
        {"category": ErrorCategory.TIMEOUT},
        {"kind": "ConnectionResetError"},
        {"place": "brokers.services.lookup.look_up"},
        {"fingerprint": "the desk's own"},
    ],
)
def test_what_happened_and_where_tells_errors_apart(change: dict[str, Any]) -> None:
    assert fingerprint_of(facts(**change)) != fingerprint_of(facts())


@pytest.mark.parametrize(
    "change",
    [
        {"severity": ErrorSeverity.LOW},
        {"message": "connection to 10.0.0.7 refused"},
        {"correlation_id": "c-1"},
        {"subject": "order:1"},
        {"details": {"tries": 2}},
        {"kind": "connectionrefusederror"},
    ],
)
def test_ids_words_and_how_bad_it_is_do_not(change: dict[str, Any]) -> None:
    assert fingerprint_of(facts(**change)) == fingerprint_of(facts())


def test_numbers_in_the_kind_do_not_tell_errors_apart() -> None:
    assert fingerprint_of(facts(kind="code 4711")) == fingerprint_of(facts(kind="code 12"))


def test_an_override_is_all_that_counts() -> None:
    ours = fingerprint_of(facts(fingerprint="the desk's own"))

    assert fingerprint_of(facts(fingerprint="the desk's own", source="sim-b", code="TIMEOUT_READ")) == ours
    assert fingerprint_of(facts(fingerprint="another")) != ours


def test_an_override_is_never_the_fingerprint_of_an_error_without_one() -> None:
    """Its parts are told apart by their places, so that no source can be called like somebody's override."""
    parts = {"operation": "", "code": "", "kind": "", "place": ""}
    assert fingerprint_of(facts(source="override", **parts)) != fingerprint_of(facts(fingerprint="", **parts))


def test_a_fingerprint_never_changes() -> None:
    """Groups of earlier releases are found by it: a new way to make it is a new version beside this one."""
    assert fingerprint_of(facts()) == "46a4a007a31165d4ed5922e04c59179f"
    assert fingerprint_of(facts(fingerprint="the desk's own")) == "a31b2be5a47309ee3f54fc1f6d11cb7a"


@pytest.mark.parametrize("version", [0, 2, -1])
def test_a_version_that_there_never_was_is_refused(version: int) -> None:
    with pytest.raises(ValueError, match=f"no version {version} "):
        fingerprint_of(facts(), version)


def test_the_first_version_has_none_before_it() -> None:
    assert former_fingerprints(facts()) == []


def test_groups_are_looked_up_by_every_version_before_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "VERSION", 4)
    monkeypatch.setattr(fingerprint, "fingerprint_of", lambda facts, version: f"{facts.code}/{version}")

    assert former_fingerprints(facts(code="X")) == ["X/3", "X/2", "X/1"]
