"""The limits of a breaker: what the seed calls them, and what is not accepted."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reliability.core.breaker import BreakerSettings

SEED = {
    "failureThreshold": 5,
    "successThreshold": 3,
    "timeout": 30_000,
    "volumeThreshold": 10,
    "errorThresholdPercentage": 50,
    "resetTimeout": 60_000,
}


def test_the_defaults_are_those_of_the_seed() -> None:
    assert BreakerSettings().to_spec() == SEED
    assert BreakerSettings.from_spec(SEED) == BreakerSettings()


def test_timeout_is_the_time_spent_open_and_reset_timeout_the_longest_half_open() -> None:
    settings = BreakerSettings.from_spec({"timeout": 1500, "resetTimeout": 2500})

    assert (settings.cooldown_seconds, settings.half_open_limit_seconds) == (1.5, 2.5)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "failureThreshold": st.integers(1, 1000),
            "successThreshold": st.integers(1, 1000),
            "timeout": st.integers(10, 86_400_000),
            "volumeThreshold": st.integers(1, 1000),
            "errorThresholdPercentage": st.integers(1, 100),
            "resetTimeout": st.integers(10, 86_400_000),
        },
    )
)
def test_what_the_seed_can_say_comes_back_as_it_was_said(values: dict[str, int]) -> None:
    spoken = BreakerSettings.from_spec(values).to_spec()

    assert {key: round(value) for key, value in spoken.items()} == {**SEED, **values}
    assert BreakerSettings.from_dict(BreakerSettings.from_spec(values).to_dict()) == BreakerSettings.from_spec(values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("failure_threshold", 0),
        ("failure_threshold", 2.5),
        ("success_threshold", True),
        ("volume_threshold", -1),
        ("quorum", 0),
        ("error_threshold_percentage", 0),
        ("error_threshold_percentage", 101),
        ("slow_call_percentage", 0),
        ("cooldown_seconds", 0),
        ("half_open_limit_seconds", -1),
        ("window_seconds", 100_000),
        ("slow_call_seconds", 0),
        ("probe_lease_seconds", float("nan")),
        ("cooldown_multiplier", 0.5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        BreakerSettings(**{name: value})


def test_an_unknown_key_of_the_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="halfOpen"):
        BreakerSettings.from_spec({"halfOpen": 1})


@pytest.mark.parametrize(
    ("name", "least", "most", "beyond"),
    [
        ("failure_threshold", 1, 1_000_000, 1_000_001),
        ("quorum", 1, 1_000_000, 1_000_001),
        ("error_threshold_percentage", 0.001, 100, 100.001),
        ("cooldown_seconds", 0.01, 86_400, 86_400.5),
        ("slow_call_seconds", 0.01, 86_400, 86_400.5),
        ("cooldown_multiplier", 1, 10, 10.001),
    ],
)
def test_the_ends_of_a_range_belong_to_it(name: str, least: float, most: float, beyond: float) -> None:
    for value in (least, most):
        assert getattr(BreakerSettings(**{name: value}), name) == value  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^{name} "):
        BreakerSettings(**{name: beyond})  # type: ignore[arg-type]


def test_every_unknown_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"^unknown: colour, size$"):
        BreakerSettings.from_spec({"size": 1, "colour": 2})
