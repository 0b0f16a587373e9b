"""The simulated broker as a counterpart that speaks the TWS socket protocol."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from brokers.simulator.ib.wire import PERM_ID_BASE
from tests.brokers.conformance.counterpart import Trouble
from tests.brokers.conformance.simulated import SimulatedCounterpart, read_address, run_simulator

ACCOUNT = "DU7654321"
OPTIONS = "client_ids=100-131&master_client_id=99&messages_per_second=5000"
OPERATIONS = ("submit", "cancel", "query", "account")
ECHO = f"Server error when processing an API client request for {ACCOUNT}."
REJECTION = "Order rejected - reason:Available funds in the amount of 1.00 are insufficient"

FAULTS: dict[Trouble, dict[str, Any]] = {
    Trouble.REPLY_LOST: {"kind": "drop_reply"},
    Trouble.REQUEST_LOST: {"kind": "drop_request"},
    Trouble.HANGING: {"kind": "hang"},
    Trouble.SERVER_ERROR: {"kind": "ib_error", "code": 322, "message": "Server error", "applied": True},
    Trouble.MALFORMED: {"kind": "wrong_data", "mode": "malformed"},
    Trouble.TRUNCATED: {"kind": "wrong_data", "mode": "truncated"},
    Trouble.MISSING_FIELDS: {"kind": "wrong_data", "mode": "missing_fields"},
    Trouble.OTHER_ORDER: {"kind": "wrong_data", "mode": "other_order"},
    Trouble.INSUFFICIENT_FUNDS: {"kind": "ib_error", "code": 201, "message": REJECTION, "status": "Inactive"},
    Trouble.ECHOED_CREDENTIALS: {"kind": "ib_error", "code": 322, "message": ECHO},
}
SILENT = frozenset({Trouble.HANGING, Trouble.SERVER_ERROR, Trouble.ECHOED_CREDENTIALS})
QUERY_TROUBLES = frozenset(FAULTS) - {Trouble.OTHER_ORDER, Trouble.INSUFFICIENT_FUNDS}
CANCEL_TROUBLES = QUERY_TROUBLES - {Trouble.MALFORMED, Trouble.TRUNCATED, Trouble.MISSING_FIELDS}


class GatewayCounterpart(SimulatedCounterpart):
    """A running simulated broker whose orders come in through its gateway."""

    def __init__(self, process: subprocess.Popen[str], url: str, address: str) -> None:
        super().__init__(process, url)
        self._order_ids: list[str] = []
        self.settings = replace(
            self.settings,
            base_url=f"{address}?{OPTIONS}",
            stream_url=f"{address}?{OPTIONS}",
            credentials={"api_key": ACCOUNT, "api_secret": "not-used-by-a-gateway"},
        )

    def make_trouble(self, trouble: Trouble) -> None:
        for operation in OPERATIONS:
            self.control("POST", "/sim/faults", {**FAULTS[trouble], "operation": operation})

    def fill(self, broker_order_id: str, quantity: Decimal) -> None:
        """Fill an order by its permanent id, which counts the orders that the ledger accepted."""
        place = int(broker_order_id) - PERM_ID_BASE
        if place >= len(self._order_ids):
            rows = (json.loads(line) for line in self.control("GET", "/sim/ledger").splitlines())
            self._order_ids = [row["order"]["id"] for row in rows if row["kind"] == "accepted"]
        self.control("POST", "/sim/fill", {"order_id": self._order_ids[place], "quantity": str(quantity)})


@contextmanager
def launch_gateway(directory: Path) -> Iterator[GatewayCounterpart]:
    """Run a simulated broker with a gateway on free ports until the block ends."""
    with run_simulator(directory, "--ib-port", "0", "--ib-account", ACCOUNT) as process:
        yield GatewayCounterpart(process, read_address(process), read_address(process))
