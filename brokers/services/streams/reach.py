"""Whether a broker answers at all, asked outside the guards while nothing is heard of its stream."""

import asyncio
from dataclasses import dataclass

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings
from brokers.services.accounts import AccountProfile
from reliability.core.taxonomy import ErrorCategory

PATIENCE_SECONDS = 1.0
_UNREACHED = frozenset({ErrorCategory.NETWORK, ErrorCategory.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Reach:
    """Why each address of a broker did not answer, empty for one that did; without a second one, it did not."""

    primary: str
    backup: str = "there is no second address"

    @property
    def failure(self) -> str:
        """Why none answered, empty when one did."""
        return f"{self.primary}; {self.backup}" if self.primary and self.backup else ""


async def ask_addresses(profile: AccountProfile) -> Reach:
    """Ask for the account at every address of the broker. Any answer counts, a refusal too: the broker is there."""
    second = profile.second_address
    if second is None:
        return Reach(await _ask(profile, profile.settings))
    return Reach(*await asyncio.gather(_ask(profile, profile.settings), _ask(profile, second)))


async def _ask(profile: AccountProfile, settings: AccountSettings) -> str:
    try:
        session = profile.adapter.open_session(settings)
    except BrokerCallError as error:
        return str(error)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await session.get_account()
    except TimeoutError:
        return f"no answer within {PATIENCE_SECONDS:g} s"
    except BrokerCallError as error:
        return str(error) if error.category in _UNREACHED else ""
    finally:
        await session.close()
    return ""
