"""The numbers that were asked for as settings, beside what the code has by default."""

from collections.abc import Iterator

from reliability.core.breaker import BreakerSettings
from reliability.core.retry import RetryPolicy

_BREAKER, _RETRY = BreakerSettings(), RetryPolicy()
# what, asked for, in the code
SETTINGS: tuple[tuple[str, float, float], ...] = (
    ("failures that open a circuit", 5, _BREAKER.failure_threshold),
    ("successes that close it", 3, _BREAKER.success_threshold),
    ("seconds open before a probe", 30, _BREAKER.cooldown_seconds),
    ("calls before a percentage counts", 10, _BREAKER.volume_threshold),
    ("percentage of errors that opens it", 50, _BREAKER.error_threshold_percentage),
    ("seconds half open at most", 60, _BREAKER.half_open_limit_seconds),
    ("milliseconds before the first retry", 100, _RETRY.delay_initial.total_seconds() * 1000),
    ("milliseconds between retries at most", 32000, _RETRY.delay_max.total_seconds() * 1000),
    ("factor from one wait to the next", 2, _RETRY.multiplier),
    ("retries after the first attempt", 5, _RETRY.max_attempts - 1),
)


def settings_table() -> Iterator[str]:
    """Return the lines of the table; every one of these can be changed without a restart or by operation."""
    yield from ("## Settings", "", "Numbers asked for as settings (B1, R1), and the default in the code.", "")
    yield from ("| setting | asked | default |", "|---|---|---|")
    for what, asked, ours in SETTINGS:
        yield f"| {what} | {asked:g} | {ours:g}{'' if asked == ours else ' (**differs**)'} |"
