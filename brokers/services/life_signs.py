"""Signs of life of brokers whose circuits are open: asked for outside the guards, so that recovery is noticed soon.

A circuit that waits out its cooldown learns of a recovery only when it is over. While one is
open, its broker is asked once a second for the account, which changes nothing there; an answer
lets the circuit's probes decide early. The circuit still closes by calls of its own class alone.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings
from brokers.services.accounts import AccountProfile
from brokers.services.guards import CallClass, circuit_name
from reliability.core.breaker import BreakerState
from reliability.services.circuits import get_circuit

PATIENCE_SECONDS = 2.0

logger = logging.getLogger(__name__)


def tell_circuits(broker: str) -> None:
    """Tell every open circuit of a broker that it answered something."""
    for call_class in CallClass:
        get_circuit(circuit_name(broker, call_class)).hear_life()


def has_open_circuit(broker: str) -> bool:
    """Return whether one is, as far as this process knows; asking makes it follow them from now on."""
    circuits = [get_circuit(circuit_name(broker, call_class)) for call_class in CallClass]
    waits = [circuit.wait_seconds() for circuit in circuits]
    return any(wait > 0 and circuit.state is BreakerState.OPEN for wait, circuit in zip(waits, circuits, strict=True))


@dataclass
class LifeSigns:
    """The questions under way, at most one to a broker; several processes may ask."""

    _asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def look(self, profiles: Sequence[AccountProfile]) -> None:
        """Begin to ask each broker that has an open circuit, unless it is still being asked."""
        for broker, profile in {profile.broker: profile for profile in reversed(profiles)}.items():
            task = self._asking.get(broker)
            if has_open_circuit(broker) and (task is None or task.done()):
                self._asking[broker] = asyncio.create_task(ask(profile))

    def cancel(self) -> None:
        for task in self._asking.values():
            task.cancel()


async def ask(profile: AccountProfile) -> None:
    """Ask a broker for an account, at every address it has, and tell its circuits if it answers at one."""
    addresses = [profile.settings, *([profile.second_address] if profile.second_address else [])]
    if any(await asyncio.gather(*(_shows_account(profile, settings) for settings in addresses))):
        tell_circuits(profile.broker)


async def _shows_account(profile: AccountProfile, settings: AccountSettings) -> bool:
    try:
        session = profile.adapter.open_session(settings)
    except BrokerCallError as error:
        logger.warning("no sign of life can be asked for", extra={"broker": profile.broker, "error": str(error)})
        return False
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await session.get_account()
    except (BrokerCallError, TimeoutError) as error:
        logger.info("no sign of life", extra={"broker": profile.broker, "error": str(error)})
        return False
    finally:
        await session.close()
    return True
