"""Open sessions with brokers: one per account and event loop, kept as long as its settings hold."""

import asyncio

from brokers.services.accounts import AccountProfile
from brokers.services.guarded_session import GuardedSession

_sessions: dict[tuple[int, int], tuple[AccountProfile, GuardedSession]] = {}


def get_session(profile: AccountProfile) -> GuardedSession:
    """Return the session of this account on the running loop; a new one after the account changed."""
    key = (id(asyncio.get_running_loop()), profile.id)
    known = _sessions.get(key)
    if known is not None and (known[0] is profile or known[0] == profile):
        return known[1]
    session = GuardedSession(profile.adapter.open_session(profile.settings), profile)
    _sessions[key] = (profile, session)
    if known is not None:
        _close_later(known[1])
    return session


def _close_later(session: GuardedSession) -> None:
    """Close a replaced session once calls under way on it are over."""

    async def close() -> None:
        await asyncio.sleep(30)
        await session.close()

    task = asyncio.get_running_loop().create_task(close())
    _closing.add(task)
    task.add_done_callback(_closing.discard)


_closing: set[asyncio.Task[None]] = set()
