"""What the parts mean together."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.degradation import Health
from reliability.core.health import ComponentHealth, Finding, by_limits, of_alike, together

components = st.builds(
    ComponentHealth,
    st.just("part"),
    st.builds(Finding, st.sampled_from(Health), st.just("")),
    st.booleans(),
    st.just(0.0),
)


@given(st.lists(components))
def test_all_is_as_bad_as_its_critical_parts_and_never_better_than_any(found):
    health = together(found)

    assert (health is Health.DOWN) == any(one.critical and one.health is Health.DOWN for one in found)
    assert (health is Health.NORMAL) == all(one.health is Health.NORMAL for one in found)


@given(st.lists(st.sampled_from(Health)))
def test_parts_of_which_any_will_do_are_down_only_together(found):
    assert (of_alike(found) is Health.DOWN) == (bool(found) and set(found) == {Health.DOWN})
    assert (of_alike(found) is Health.NORMAL) == (set(found) <= {Health.NORMAL})


@pytest.mark.parametrize(
    ("value", "health"),
    [(5.0, Health.NORMAL), (5.1, Health.DEGRADED), (60.0, Health.DEGRADED), (60.1, Health.DOWN)],
)
def test_limits_belong_to_the_better_side(value, health):
    assert by_limits(value, 5.0, 60.0) is health
