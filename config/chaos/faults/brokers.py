"""Faults of the simulated brokers: what their own switches do, and their processes going away."""

from contextlib import suppress
from typing import Any
from urllib.error import HTTPError

from config.chaos.faults.fault import BROKER_OF, Fault


class BrokerFault(Fault):
    """One of the simulator's faults, named by ``fault``; the other options are its parameters."""

    kind = "broker"
    _id: str = ""

    def begin(self) -> None:
        parameters: dict[str, Any] = {name: value for name, value in self.options.items() if name != "fault"}
        self._id = self.stack.fault(BROKER_OF[self.target], self.options["fault"], **parameters)

    def heal(self) -> None:
        with suppress(HTTPError):  # it has ended by itself
            self.stack.end_fault(BROKER_OF[self.target], self._id)


class BrokerDown(Fault):
    """The broker's process ends, its two ports refuse connections; its ledger stays."""

    kind = "broker_down"

    def begin(self) -> None:
        self.stack.instance.control.stop(self._name, self.options.get("signal", "SIGKILL"))

    def heal(self) -> None:
        self.stack.instance.control.start(self._name)

    @property
    def _name(self) -> str:
        return f"simbroker-{BROKER_OF[self.target]}"


class BrokerFlaps(Fault):
    """Both ports of a broker are shut and opened again in turn, ``period`` seconds each, until it heals."""

    kind = "broker_flaps"

    def begin(self) -> None:
        import threading

        self._over = threading.Event()
        self._thread = threading.Thread(target=self._flap, daemon=True)
        self._thread.start()

    def heal(self) -> None:
        self._over.set()
        self._thread.join(30)
        self.stack.clear_toxics()

    def _flap(self) -> None:
        letter = BROKER_OF[self.target]
        while not self._over.is_set():
            ids = [self.stack.toxic(link, "down") for link in (f"simbroker-{letter}", f"simbroker-{letter}-backup")]
            self._over.wait(float(self.options.get("period", 2.0)))
            for number in ids:
                self.stack.end_toxic(number)
            self._over.wait(float(self.options.get("period", 2.0)))


FAULTS = (BrokerFault, BrokerDown, BrokerFlaps)
