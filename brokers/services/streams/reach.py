"""Whether a broker answers at all, asked outside the guards while nothing is heard of its stream."""

import asyncio
from collections.abc import Sequence

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.interface import AccountSettings
from brokers.services.accounts import AccountProfile
from reliability.core.taxonomy import ErrorCategory

PATIENCE_SECONDS = 1.0
_UNREACHED = frozenset({ErrorCategory.NETWORK, ErrorCategory.TIMEOUT})


async def find_unreachable(profile: AccountProfile) -> str:
    """Ask for the account at every address of the broker; returns why none answered, empty when one did.

    Any answer counts, a refusal too: it says that the broker is there.
    """
    asked = [profile.settings]
    if profile.backup is not None and profile.backup.base_url != profile.settings.base_url:
        asked.append(profile.backup)
    return _sum_up(await asyncio.gather(*(_ask(profile, settings) for settings in asked)))


def _sum_up(failures: Sequence[str]) -> str:
    return "" if "" in failures else "; ".join(failures)


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
