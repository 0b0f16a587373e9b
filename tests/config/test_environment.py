"""The environment: what is missing or wrong is one clear line that names it."""

import base64
import secrets

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import VARIABLES, read_environment

KEY = base64.urlsafe_b64encode(bytes(32)).decode()
GOOD = {
    "DATABASE_URL": "postgresql://desk:p%40ss@db.example:6432/stanchion",
    "REDIS_URL": "redis://:secret@cache.example:6379/0",
    "STANCHION_SECRET_KEY": secrets.token_urlsafe(48),
    "STANCHION_ENCRYPTION_KEY": f"{KEY}, {KEY}",
}


def problem(**changes: str) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        read_environment({**GOOD, **changes})
    return str(caught.value)


def test_the_needed_values_are_enough() -> None:
    values = read_environment(GOOD)

    assert set(values) == {variable.name for variable in VARIABLES}
    assert values["DATABASE_URL"] == {
        "NAME": "stanchion",
        "USER": "desk",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "6432",
    }
    assert values["STANCHION_ENCRYPTION_KEY"] == [KEY, KEY]
    assert (values["STANCHION_DEBUG"], values["STANCHION_LOG_LEVEL"]) == (False, "INFO")


def test_everything_missing_is_named_in_one_line() -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        read_environment({})
    text = str(caught.value)
    assert "\n" not in text
    assert all(variable.name in text for variable in VARIABLES if variable.default is None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://u:p@h/d"),
        ("DATABASE_URL", "postgresql://u:p@h"),
        ("DATABASE_URL", "postgresql://u:p@h:port/d"),
        ("DATABASE_URL", "postgresql://u:p@h/d?sslmode=require"),
        ("REDIS_URL", "http://h"),
        ("STANCHION_BROKER_URL", "kafka://h"),
        ("STANCHION_SECRET_KEY", "short"),
        ("STANCHION_SECRET_KEY", ""),
        ("STANCHION_ENCRYPTION_KEY", ""),
        ("STANCHION_ENCRYPTION_KEY", "not a key"),
        ("STANCHION_ENCRYPTION_KEY", f"{KEY},short"),
        ("STANCHION_DEBUG", "maybe"),
        ("STANCHION_LOG_LEVEL", "LOUD"),
        ("STANCHION_TOKEN_DAYS", "0"),
        ("STANCHION_TOKEN_DAYS", "-1"),
        ("STANCHION_TOKEN_DAYS", "soon"),
        ("STANCHION_TOKEN_DAYS", "nan"),
        ("STANCHION_TOKEN_DAYS", "inf"),
        ("STANCHION_MAX_BODY_BYTES", "inf"),
        ("STANCHION_JOB_LEASE_SECONDS", "1e300"),
    ],
)
def test_a_wrong_value_is_named_and_no_other(name: str, text: str) -> None:
    said = problem(**{name: text})
    assert said.startswith(f"{name} is wrong: ")
    assert "\n" not in said
    assert sum(variable.name in said for variable in VARIABLES) == 1


def test_a_wrong_secret_is_not_shown() -> None:
    assert "tooshort" not in problem(STANCHION_SECRET_KEY="tooshort")
    assert "tooshort" not in problem(STANCHION_ENCRYPTION_KEY="tooshort")


def test_every_variable_says_what_it_is_for() -> None:
    assert all(variable.purpose for variable in VARIABLES)
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)
