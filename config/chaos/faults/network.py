"""Faults on the way: the proxy between our processes and PostgreSQL, Valkey and the brokers."""

from contextlib import suppress
from urllib.error import HTTPError

from config.chaos.faults.fault import Fault


class Toxic(Fault):
    """A fault of one or more links, named in ``target`` with commas; ``toxic`` is its kind, the rest its parameters."""

    kind = "network"

    def begin(self) -> None:
        parameters = {name: value for name, value in self.options.items() if name != "toxic"}
        self._ids = [
            self.stack.toxic(link, self.options["toxic"], **parameters)
            for link in self.target.replace(" ", "").split(",")
        ]

    def heal(self) -> None:
        for number in self._ids:
            with suppress(HTTPError):  # switched off already
                self.stack.end_toxic(number)


FAULTS = (Toxic,)
