"""The catalogue of alert conditions is complete, and scopes say what they are about."""

import pytest

from reliability.core.alerts import subject_of
from reliability.core.conditions import CONDITIONS, UnknownConditionError, get_condition
from reliability.core.taxonomy import ErrorSeverity


def test_every_condition_can_be_followed():
    for name, condition in CONDITIONS.items():
        assert (condition.name, bool(condition.summary), bool(condition.resolves)) == (name, True, True)
        assert len(condition.steps) >= 1, name
        assert set(condition.inhibited_by) <= set(CONDITIONS), name
        assert not (condition.must_notify and condition.inhibited_by), f"{name} is always told"


def test_severities_have_a_place_and_come_back_from_it():
    assert [one.rank for one in ErrorSeverity] == [1, 2, 3, 4, 5]
    assert all(ErrorSeverity.of_rank(one.rank) is one for one in ErrorSeverity)


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        ("account:sim-a", "sim-a"),
        ("account:sim-a/symbol:AAPL", "sim-a"),
        ("circuit:sim-a:orders", "sim-a"),
        ("lane:orders", "orders"),
        ("global", "global"),
        ("odd:", "odd:"),
    ],
)
def test_a_scope_is_about_one_thing(scope: str, subject: str):
    assert subject_of(scope) == subject


def test_a_condition_is_found_by_its_name_alone():
    assert all(get_condition(name).name == name for name in CONDITIONS)
    with pytest.raises(UnknownConditionError, match="nothing"):
        get_condition("nothing")
