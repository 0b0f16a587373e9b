"""An address behind Redis Sentinel names the sentinels and the master, or is refused at the start."""

import pytest

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
