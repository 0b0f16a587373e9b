"""Open sessions with brokers: one per account and event loop, kept as long as its settings hold."""

import asyncio

from brokers.adapters.failure_rules import live_source
from brokers.adapters.interface import AccountSettings, BrokerSession
from brokers.core.streams import Endpoint
from brokers.services.accounts import AccountProfile
from brokers.services.guarded_session import GuardedSession
from brokers.services.reviewed_session import ReviewedSession
from brokers.services.two_addresses import TwoAddressSession

_sessions: dict[tuple[int, int], tuple[AccountProfile, GuardedSession]] = {}


def get_session(profile: AccountProfile) -> GuardedSession:
    """Return the session of this account on the running loop; a new one after the account changed."""
    key = (id(asyncio.get_running_loop()), profile.id)
    known = _sessions.get(key)
    if known is not None and (known[0] is profile or known[0] == profile):
        return known[1]
    session = GuardedSession(_open(profile), profile)
    _sessions[key] = (profile, session)
    if known is not None:
        _close_later(known[1])
    return session


def _open(profile: AccountProfile) -> BrokerSession:
    """Open a session at the broker's address, or at both if it has two for calls."""
    session = _open_one(profile, profile.settings)
    backup = profile.second_address
    if backup is None:
        return session
    sessions = {Endpoint.PRIMARY: session, Endpoint.BACKUP: _open_one(profile, backup)}
    return TwoAddressSession(sessions, profile.calls_to)


def _open_one(profile: AccountProfile, settings: AccountSettings) -> BrokerSession:
    return ReviewedSession(profile.adapter.open_session(settings), live_source(profile.adapter.name))


def _close_later(session: GuardedSession) -> None:
    """Close a replaced session once calls under way on it are over."""

    async def close() -> None:
        await asyncio.sleep(30)
        await session.close()

    task = asyncio.get_running_loop().create_task(close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()
