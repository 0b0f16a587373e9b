"""Faults of a broker's address: a name that cannot be resolved, a certificate that is not to be trusted."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from config.chaos.faults.certificates import KINDS, VARIABLE, Door
from config.chaos.faults.fault import Fault
from config.chaos.scenario import ScenarioError

_MOVE = """
UPDATE brokers_broker SET base_url = %(url)s, backup_base_url = %(backup)s
WHERE name = (SELECT broker_id FROM brokers_account WHERE name = %(account)s) RETURNING name
"""
_ADDRESSES = """
SELECT broker.base_url, broker.backup_base_url FROM brokers_broker broker
JOIN brokers_account account ON account.broker_id = broker.name WHERE account.name = %s
"""


class Moved(Fault):
    """Calls to a broker go to another address while it lasts; its order stream stays where it is."""

    _before: tuple[Any, ...] | None = None

    def begin(self) -> None:
        self._before = self.stack.query(_ADDRESSES, [self.target])[0]
        url = self._address(self._before[0])
        self._move(url, "")

    def heal(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            self._move(*before)

    def _address(self, url: str) -> str:
        raise NotImplementedError

    def _move(self, url: str, backup: str) -> None:
        self.stack.query(_MOVE, {"url": url, "backup": backup, "account": self.target})


class NameNotFound(Moved):
    """The name of a broker's address is one that nobody can resolve (RFC 6761 reserves it)."""

    kind = "name_not_found"

    def _address(self, url: str) -> str:
        return "http://simulated-broker.invalid"


class Certificate(Moved):
    """A broker is reached over TLS, under a certificate that is ``shows``: good, expired, other_name or stranger."""

    kind = "certificate"
    _door: Door | None = None

    def missing(self) -> str:
        if self.options["shows"] not in KINDS:
            raise ScenarioError(f"no certificate {self.options['shows']!r}; there are: {', '.join(KINDS)}")
        return "" if VARIABLE in self.stack.environment else "the processes of this stack trust no authority of ours"

    def _address(self, url: str) -> str:
        port = urlsplit(url).port
        assert port is not None
        self._door = Door(Path(self.stack.environment[VARIABLE]), self.options["shows"], port)
        return self._door.url

    def heal(self) -> None:
        super().heal()
        door, self._door = self._door, None
        if door is not None:
            door.close()


FAULTS = (NameNotFound, Certificate)
