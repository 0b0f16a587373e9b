"""An address behind Redis Sentinel names the sentinels and the master, or is refused at the start."""

import pytest

from config.celery import settings_for
from reliability.core.redis_address import SentinelAddress, parse_sentinel

FULL = "sentinel://app:p%40ss@one:26380,two,[::1]:1/2?master=main&sentinel_password=s"


def test_an_address_says_everything() -> None:
    assert parse_sentinel(FULL) == SentinelAddress(
        sentinels=(("one", 26380), ("two", 26379), ("::1", 1)),
        master="main",
        username="app",
        password="p@ss",
        database=2,
        sentinel_password="s",
    )


@pytest.mark.parametrize(
    "text",
    [
        "sentinel://one",
        "sentinel://?master=main",
        "sentinel://one/x?master=main",
        "sentinel://one/0?master=main&tls=1",
        "sentinel://one:port/0?master=main",
        "sentinel://one,,two/0?master=main",
        "redis://one/0?master=main",
    ],
)
def test_what_names_no_master_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"sentinel|Port"):
        parse_sentinel(text)


def test_celery_is_told_each_sentinel_and_the_master() -> None:
    settings = settings_for(FULL)
    login = "app:p%40ss"
    assert settings["broker_url"] == (
        f"sentinel://{login}@one:26380/2;sentinel://{login}@two:26379/2;sentinel://{login}@[::1]:1/2"
    )
    assert settings["broker_transport_options"]["master_name"] == "main"
    assert settings["broker_transport_options"]["sentinel_kwargs"]["password"] == "s"
    assert "master_name" not in settings_for("redis://one/0")["broker_transport_options"]
