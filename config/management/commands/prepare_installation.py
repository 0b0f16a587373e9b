"""First set-up of an installation: a login, an API token, accounts, schedules. Safe to run again."""

import json
import os
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask
from knox.crypto import hash_token
from knox.models import AuthToken
from knox.settings import CONSTANTS, knox_settings

from brokers.models import Account, Broker
from brokers.services.accounts import forget_accounts
from brokers.services.checkpoint_job import CHECKPOINT_KIND
from brokers.services.credentials import set_credentials
from brokers.services.history.seal_job import SEAL_KIND
from brokers.services.instruments import REFRESH_KIND
from brokers.services.synchronization import SYNC_ALL_KIND
from config.access import ROLES, may
from reconciliation.core.gaps import GapPolicy
from reconciliation.core.timeframes import Timeframe
from reconciliation.models import Feed
from reconciliation.services.drills import SCHEDULED_DRILL_KIND
from reconciliation.services.market_data.feed_settings import add_feed, subscribe_symbol
from reconciliation.services.run_job import SCHEDULE_KIND
from reliability.services.escalation_audit import AUDIT_KIND
from reliability.services.fold_job import FOLD_KIND
from reliability.services.heartbeat_job import HEARTBEAT_KIND
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.retention.upkeep import ensure_policies
from reliability.services.retention.upkeep_job import UPKEEP_KIND
from reliability.services.service_level_jobs import SAMPLE_KIND, THIN_KIND

_SCHEDULES = (
    (SYNC_ALL_KIND, 5),
    (REFRESH_KIND, 3600),
    (SEAL_KIND, 5),
    (CHECKPOINT_KIND, 3600),
    (FOLD_KIND, 3600),
    (UPKEEP_KIND, 3600),
    (SAMPLE_KIND, 10),
    (THIN_KIND, 3600),
    (HEARTBEAT_KIND, 60),
    (AUDIT_KIND, 60),
    (SCHEDULED_DRILL_KIND, 86_400),
)
# Name of the schedule, how far back its runs read, seconds between them.
_RECONCILIATIONS = (("reconciliation.incremental", "incremental", 60), ("reconciliation.full", "full", 86_400))
_SIMULATED_SYMBOLS = ("AAPL", "MSFT", "NVDA")
_SIMULATED_HISTORY = timedelta(hours=1)  # so that there is something to see at once
_RETIRED = ("errors.partitions",)  # schedules of kinds of jobs that are no more


class Command(BaseCommand):
    help = (
        "Create roles and schedules; and, from the environment, a login (STANCHION_ADMIN_USER, "
        "STANCHION_ADMIN_PASSWORD), an API token (STANCHION_API_TOKEN) and accounts at simulated brokers "
        "(STANCHION_SIM_A_URL, STANCHION_SIM_B_URL, and their second addresses, STANCHION_SIM_A_BACKUP_URL and so on), "
        "and with STANCHION_SIM_FEEDS=1 feeds of their market data."
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:  # hashing a password on a busy machine takes longer than the usual limit
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '60s'")
        self._create_roles()
        self._create_schedules()
        ensure_policies()
        self._create_login()
        self._create_simulated_accounts()
        if os.environ.get("STANCHION_SIM_FEEDS") == "1":
            self._create_simulated_feeds()
        enqueue_job(REFRESH_KIND, NewJob(unique_key="instruments"))

    def _create_roles(self) -> None:
        known = {
            f"{one.content_type.app_label}.{one.codename}": one
            for one in Permission.objects.select_related("content_type")
        }
        for role in ROLES:
            group, _ = Group.objects.get_or_create(name=role)
            group.permissions.set([one for name, one in known.items() if may(role, name)])

    def _create_schedules(self) -> None:
        PeriodicTask.objects.filter(name__in=_RETIRED).delete()
        for kind, seconds in _SCHEDULES:
            self._schedule(kind, seconds, kind=kind, unique_key=f"scheduled:{kind}")
        for name, reach, seconds in _RECONCILIATIONS:
            self._schedule(name, seconds, kind=SCHEDULE_KIND, unique_key=f"scheduled:{name}", payload={"kind": reach})

    def _schedule(self, name: str, seconds: int, **arguments: Any) -> None:
        """Create a schedule unless there is one of that name; what was changed in admin stays."""
        every, _ = IntervalSchedule.objects.get_or_create(every=seconds, period=IntervalSchedule.SECONDS)
        defaults = {"task": "reliability.enqueue_job", "interval": every, "kwargs": json.dumps(arguments)}
        PeriodicTask.objects.get_or_create(name=name, defaults=defaults)

    def _create_login(self) -> None:
        name, password = os.environ.get("STANCHION_ADMIN_USER"), os.environ.get("STANCHION_ADMIN_PASSWORD")
        if not name or not password:
            return
        user, created = get_user_model().objects.get_or_create(
            username=name, defaults={"is_staff": True, "is_superuser": True}
        )
        if created or not user.check_password(password):
            user.set_password(password)
            user.save()
        token = os.environ.get("STANCHION_API_TOKEN")
        if token and not AuthToken.objects.filter(digest=hash_token(token)).exists():
            AuthToken.objects.filter(user=user, token_key=token[: CONSTANTS.TOKEN_KEY_LENGTH]).delete()
            AuthToken(
                digest=hash_token(token),
                token_key=token[: CONSTANTS.TOKEN_KEY_LENGTH],
                user=user,
                expiry=timezone.now() + knox_settings.TOKEN_TTL,
            ).save()

    def _create_simulated_accounts(self) -> None:
        credentials = {
            "api_key": os.environ.get("STANCHION_SIM_API_KEY", ""),
            "api_secret": os.environ.get("STANCHION_SIM_API_SECRET", ""),
        }
        for suffix in ("a", "b"):
            url = os.environ.get(f"STANCHION_SIM_{suffix.upper()}_URL")
            if not url:
                continue
            backup = os.environ.get(f"STANCHION_SIM_{suffix.upper()}_BACKUP_URL", "")
            addresses = {"base_url": url, "stream_url": _stream_of(url)}
            addresses |= {"backup_base_url": backup, "backup_stream_url": _stream_of(backup)}
            broker, _ = Broker.objects.update_or_create(
                name=f"sim-{suffix}", defaults={"adapter": "alpaca", **addresses}
            )
            account, _ = Account.objects.get_or_create(
                name=f"sim-{suffix}", defaults={"broker": broker, "is_default": suffix == "a"}
            )
            Account.objects.filter(pk=account.pk, is_simulated=False).update(is_simulated=True)
            set_credentials(account, credentials)

    def _create_simulated_feeds(self) -> None:
        """Have both brokers deliver minutes of some symbols; the second steps in for the first. What is there stays."""
        forget_accounts()
        since = timezone.now() - _SIMULATED_HISTORY
        for number, suffix in enumerate(("a", "b")):
            name, url = f"sim-{suffix}", os.environ.get(f"STANCHION_SIM_{suffix.upper()}_URL", "")
            if not url:
                continue
            stream_url = url.replace("http", "ws", 1) + "/v2/iex"
            if not Feed.objects.filter(name=name).update(stream_url=stream_url):
                add_feed(name, account=name, data_url="", stream_url=stream_url, priority=10 * number, by="prepare")
                for symbol in _SIMULATED_SYMBOLS:
                    subscribe_symbol(
                        name,
                        symbol=symbol,
                        timeframe=Timeframe.MINUTE,
                        calendar="24/7",
                        policy=GapPolicy.EVERY_SLOT,
                        by="prepare",
                        since=since,
                    )


def _stream_of(url: str) -> str:
    return url.replace("http", "ws", 1) + "/stream" if url else ""
