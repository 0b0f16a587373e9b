"""What calls need to know of accounts, kept for a second so that hot paths ask nobody."""

import logging
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from brokers.adapters.interface import AccountSettings, BrokerAdapter
from brokers.adapters.registry import get_adapter
from brokers.conf import get_conf
from brokers.core.streams import MUTE_SECONDS, Endpoint
from brokers.models import Account, Broker, Instrument, StreamSession
from brokers.services.credentials import CredentialsUnreadableError, read_credentials
from reliability.core.errors import ReliabilityError

_FRESH_SECONDS = 1.0
_INSTRUMENTS_FRESH_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a broker is asked at most: calls under way in one process and in all, calls per minute of one account.

    ``call_seconds`` is the longest one call may take.
    """

    max_concurrent_calls: int = 100
    calls_per_minute: int | None = None
    max_calls_overall: int | None = None
    call_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class AccountProfile:
    """One account as a plain value; ``backup`` are the settings of its broker's second addresses, if it has any."""

    id: int
    name: str
    broker: str
    enabled: bool
    is_default: bool
    is_simulated: bool
    adapter: BrokerAdapter
    settings: AccountSettings
    limits: Limits = Limits()
    backup: AccountSettings | None = None
    mute_after_seconds: float = MUTE_SECONDS

    calls_to: Endpoint = Endpoint.PRIMARY

    @property
    def second_address(self) -> AccountSettings | None:
        """The settings of a second address for calls, if the broker has one."""
        if self.backup is None or self.backup.base_url == self.settings.base_url:
            return None
        return self.backup

    @property
    def standby(self) -> AccountSettings | None:
        """The settings of a second order stream, if the broker offers one."""
        if self.backup is None or self.backup.stream_url == self.settings.stream_url:
            return None
        return self.backup


class _Directory:
    """All accounts of this process, read again when they are older than a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._by_id: dict[int, AccountProfile] = {}
        self._instruments: dict[str, tuple[float, frozenset[str]]] = {}

    def profiles(self) -> dict[int, AccountProfile]:
        if time.monotonic() - self._read_at > _FRESH_SECONDS:
            with self._lock:
                rows = Account.objects.select_related("broker", "streamsession").all()
                self._by_id = {row.pk: _profile(row) for row in rows}
                self._read_at = time.monotonic()
        return self._by_id

    def symbols(self, broker: str) -> frozenset[str]:
        read_at, symbols = self._instruments.get(broker, (0.0, frozenset[str]()))
        if time.monotonic() - read_at > _INSTRUMENTS_FRESH_SECONDS:
            rows = Instrument.objects.filter(broker_id=broker, tradable=True).values_list("symbol", flat=True)
            symbols = frozenset(rows)
            self._instruments[broker] = (time.monotonic(), symbols)
        return symbols

    def forget(self) -> None:
        self._read_at = 0.0
        self._instruments.clear()


_directory = _Directory()


def _profile(row: Account) -> AccountProfile:
    settings = AccountSettings(
        account=row.name,
        base_url=row.broker.base_url.rstrip("/"),
        stream_url=row.broker.stream_url,
        credentials=_credentials(row),
        connect_timeout_seconds=row.broker.connect_timeout_ms / 1000,
        call_timeout_seconds=row.broker.call_timeout_ms / 1000,
        private_networks=get_conf().private_networks,
    )
    adapter = get_adapter(row.broker.adapter)
    broker = row.broker
    limits = Limits(
        broker.max_concurrent_calls, broker.calls_per_minute, broker.max_calls_overall, broker.call_timeout_ms / 1000
    )
    return AccountProfile(
        id=row.pk,
        name=row.name,
        broker=row.broker_id,
        enabled=row.enabled,
        is_default=row.is_default,
        is_simulated=row.is_simulated,
        adapter=adapter,
        settings=settings,
        limits=limits,
        backup=_backup(row.broker, settings),
        mute_after_seconds=row.broker.mute_after_ms / 1000,
        calls_to=_calls_to(row),
    )


def _backup(broker: Broker, settings: AccountSettings) -> AccountSettings | None:
    """Return the settings with the second addresses in place of the first; one that is missing stays as it is."""
    if not broker.backup_base_url and not broker.backup_stream_url:
        return None
    base_url = broker.backup_base_url.rstrip("/") or settings.base_url
    return replace(settings, base_url=base_url, stream_url=broker.backup_stream_url or settings.stream_url)


def _calls_to(row: Account) -> Endpoint:
    """Return the address that answers calls, as far as the stream processes found out."""
    session: StreamSession | None = getattr(row, "streamsession", None)
    return Endpoint.PRIMARY if session is None else Endpoint(session.calls_to)


def _credentials(row: Account) -> dict[str, str]:
    """Return none where they cannot be read: the account's own calls fail, no other account's."""
    try:
        return read_credentials(row)
    except CredentialsUnreadableError:
        logger.exception("credentials cannot be read", extra={"account": row.name})
        return {}


def find_broker_of(account: str) -> str | None:
    """Return the name of an account's broker, or None if no account is called so."""
    return next((one.broker for one in _directory.profiles().values() if one.name == account), None)


def forget_accounts() -> None:
    """Read everything again at the next question: for tests, and after accounts were changed here."""
    _directory.forget()


def get_profile(account_id: int) -> AccountProfile:
    """Return an account, also one that another process has just made; raises ``KeyError``."""
    if account_id not in _directory.profiles():
        _directory.forget()
    return _directory.profiles()[account_id]


def list_profiles() -> list[AccountProfile]:
    return list(_directory.profiles().values())


def choose_accounts(route: Sequence[str]) -> list[AccountProfile]:
    """Return the accounts of a route that take new orders, in its order; an empty route is the default account.

    Raises:
        ReliabilityError: an account does not exist, or none of them takes new orders.
    """
    named = [_find_account(name) for name in route or ("",)]
    enabled = [profile for profile in named if profile.enabled]
    if not enabled:
        names = [profile.name for profile in named]
        raise ReliabilityError("VALIDATION_ACCOUNT_DISABLED", details={"account": names})
    return enabled


def require_within(route: Sequence[str], within: Collection[int] | None) -> None:
    """Refuse a route with an account outside of ``within`` (ids; None: all) as if there were no such account.

    Raises:
        ReliabilityError: an account of the route is not there, or not for this caller.
    """
    if within is None:
        return
    for name in route or ("",):
        if _find_account(name).id not in within:
            raise _no_account(name)


def _find_account(name: str) -> AccountProfile:
    for profile in _directory.profiles().values():
        if profile.name == name or (not name and profile.is_default):
            return profile
    raise _no_account(name)


def _no_account(name: str) -> ReliabilityError:
    wanted = f"there is no account called {name!r}" if name else "there is no default account: name one"
    return ReliabilityError("VALIDATION_INVALID_ORDER", details={"account": [wanted]})


def check_symbol(profile: AccountProfile, symbol: str) -> None:
    """Raise ``ReliabilityError`` when the broker's list of symbols is known and does not have this one."""
    symbols = _directory.symbols(profile.broker)
    if symbols and symbol not in symbols:
        raise ReliabilityError(
            "VALIDATION_UNKNOWN_SYMBOL", details={"symbol": [f"{profile.broker} does not trade {symbol}"]}
        )
