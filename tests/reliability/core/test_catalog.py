"""Every code that the source can raise is in the catalogue, and every entry is complete."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokers.adapters.alpaca.errors import CODES
from config.reference import error_page
from reliability.core.catalog import CATALOG, UnknownErrorCodeError, get_definition
from reliability.core.catalog.procedures import ESCALATION, STEPS
from reliability.core.errors import ReliabilityError
from reliability.core.runbooks import StepKind, error_runbook
from reliability.core.taxonomy import ErrorCategory, ErrorDefinition, ErrorSeverity, RecoveryStrategy

ROOT = Path(__file__).resolve().parents[3]
CATALOG_FOLDER = ROOT / "reliability" / "core" / "catalog"
PREFIXES = {category.value.upper() for category in ErrorCategory}
TRYING_AGAIN = {
    RecoveryStrategy.RETRY_IMMEDIATE,
    RecoveryStrategy.RETRY_BACKOFF,
    RecoveryStrategy.CIRCUIT_BREAK,
    RecoveryStrategy.FAILOVER,
}
SHAPE = rf"(?:{'|'.join(sorted(PREFIXES))})_[A-Z][A-Z_]+"
CODE = re.compile(SHAPE)
QUOTED = re.compile(rf"'({SHAPE})'")  # inside SQL


def codes_in_source() -> Iterator[tuple[str, str]]:
    """Yield every string constant of the product that looks like a code, with where it stands; not the catalogue's."""
    for package in ("reliability", "brokers", "reconciliation", "config"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.is_relative_to(CATALOG_FOLDER) or "simulator" in path.parts or "migrations" in path.parts:
                continue
            if path.name == "settings.py":
                continue  # settings of libraries are named like codes
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    for code in [node.value] if CODE.fullmatch(node.value) else QUOTED.findall(node.value):
                        yield code, f"{path.relative_to(ROOT)}:{node.lineno}"


FOUND = list(codes_in_source())


def test_every_code_in_the_source_is_in_the_catalogue() -> None:
    assert len({code for code, _ in FOUND}) > 80, "the scan finds nothing any more"
    assert [(code, place) for code, place in FOUND if code not in CATALOG] == []


def test_every_code_of_the_catalogue_is_given_to_something() -> None:
    """What no rule, guess or service speaks of is dead and misleads who reads the page."""
    given = {code for code, _ in FOUND}

    assert sorted(CATALOG.keys() - given) == []


def test_every_code_of_the_alpaca_adapter_is_in_the_catalogue() -> None:
    assert sorted(CODES - CATALOG.keys()) == []


@pytest.mark.parametrize("definition", CATALOG.values(), ids=CATALOG)
def test_an_entry_says_everything_a_person_needs(definition: ErrorDefinition) -> None:
    assert definition.code.startswith(definition.category.value.upper() + "_")
    assert definition.message.endswith(".")
    assert definition.suggestion.endswith(".")
    assert 400 <= definition.http_status < 600
    assert definition.runbook == f"docs/reference/errors.md#{definition.code.lower()}"
    assert len(definition.manual_steps.split()) >= 6, "a person must know what to do"
    assert definition.manual_steps.endswith(".")
    assert len(definition.escalation.split()) >= 4, "it must be clear who is told, and when"
    if definition.severity in (ErrorSeverity.CRITICAL, ErrorSeverity.HIGH):
        assert not definition.escalation.startswith("nobody"), "somebody must be told"
    if not definition.retryable:
        assert definition.strategy not in TRYING_AGAIN
    if definition.ambiguous:
        assert definition.strategy is not RecoveryStrategy.IGNORE, "nobody may ignore an unknown outcome"


@pytest.mark.parametrize("field", ["manual_steps", "escalation"])
def test_what_a_person_does_is_written_for_each_code(field: str) -> None:
    """No default stands for many: what fits a bad certificate fits no spent budget."""
    texts = Counter(getattr(definition, field) for definition in CATALOG.values())

    assert {text: number for text, number in texts.items() if number > 1} == {}
    assert set(ESCALATION) == set(CATALOG)
    assert {code for code in STEPS if code not in CATALOG} == set()


@pytest.mark.parametrize("definition", CATALOG.values(), ids=CATALOG)
def test_the_runbook_of_a_code_says_what_to_do_and_whom_to_tell(definition: ErrorDefinition) -> None:
    runbook = error_runbook(definition)
    checks = [step.text for step in runbook.steps if step.kind is StepKind.CHECK]
    actions = {step.action for step in runbook.steps if step.kind is StepKind.ACTION}

    assert len(checks) >= 2, "more than its suggestion"
    assert definition.escalation in runbook.steps[-1].text
    assert bool(actions) == bool(runbook.prefix)
    if definition.ambiguous and definition.category in (ErrorCategory.NETWORK, ErrorCategory.BROKER):
        assert actions == {"orders.look_again"}, "what may live is looked up"


def test_a_codes_runbook_is_followed_without_its_actions_where_there_is_nothing_to_run_them_on() -> None:
    runbook = error_runbook(CATALOG["TIMEOUT_READ"])

    assert runbook.steps_for("order:1") == runbook.steps
    assert runbook.steps_for("account:desk") is None
    loose = runbook.steps_for("")
    assert loose is not None
    assert {step.kind for step in loose} == {StepKind.CHECK, StepKind.NOTE}


def test_no_code_is_defined_twice() -> None:
    source = "".join(path.read_text() for path in CATALOG_FOLDER.glob("*.py") if path.stem != "procedures")
    for code in CATALOG:
        assert source.count(f'"{code}"') == 1, code


def test_every_category_has_entries() -> None:
    assert {entry.category for entry in CATALOG.values()} == set(ErrorCategory)


def test_an_error_with_an_unknown_code_is_noticed_where_it_is_read() -> None:
    with pytest.raises(UnknownErrorCodeError):
        get_definition("SYSTEM_NO_SUCH_CODE")
    with pytest.raises(UnknownErrorCodeError):
        _ = ReliabilityError("SYSTEM_NO_SUCH_CODE").definition


def test_every_entry_has_its_place_on_the_page() -> None:
    page = error_page()
    for definition in CATALOG.values():
        assert page.count(f'<a id="{definition.runbook.partition("#")[2]}"></a>{definition.code}\n') == 1
        assert definition.manual_steps in page
