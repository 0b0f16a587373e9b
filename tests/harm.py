"""A plugin of pytest: failures that tell of harm are kept in its cache, because no second look may take them back."""

import re
from collections.abc import Iterator

import pytest

HARM = re.compile(r"(lost|doubled|differs): order \S+ \(|stray order at a broker: \S|position of \S+ in \S+: \S+ here")
CACHE_KEY = "stanchion/harm"
_harmed: set[str] = set()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report: pytest.TestReport = yield
    if report.failed and HARM.search(report.longreprtext):
        report.user_properties.append(("harm", report.nodeid))
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _harmed.update(str(value) for name, value in report.user_properties if name == "harm")


def pytest_sessionfinish(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if _harmed and session.config.cache and not is_worker:
        session.config.cache.set(CACHE_KEY, sorted(_harmed))
