"""Who may do what: the roles of an installation, and the permission that each address asks for.

``prepare_installation`` makes the roles, docs/reference/roles.md shows them, and a test knocks at each address as each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from types import FunctionType
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.permissions import BasePermission

from reliability.api.permissions import Requires, permissions_in

OUR_APPS = ("reliability", "brokers", "reconciliation")
# Whoever may look sees every kind of row of ours; each role sees the same and may do what is named here.
ROLES: dict[str, tuple[str, ...]] = {
    "viewer": (),
    "trader": ("brokers.submit_order",),
    "operator": (
        "brokers.change_account",
        "brokers.submit_order",
        "brokers.engage_kill_switch",
        "brokers.release_kill_switch",
        "brokers.decide_order",
        "brokers.freeze_trading",
        "brokers.release_freeze",
        "brokers.adjust_position",
        "brokers.book_cash",
        "reliability.operate_deadletter",
        "reliability.pause_lane",
        "reliability.operate_circuit",
        "reliability.operate_saga",
        "reliability.change_circuit",
        "reliability.decide_errorguess",
        "reliability.add_errorrule",
        "reliability.change_errorrule",
        "reliability.acknowledge_alert",
        "reliability.change_alertrule",
        "reliability.decide_errorgroup",
        "reliability.operate_incident",
        "reliability.review_incident",
        "reliability.handle_intervention",
        "reliability.follow_runbook",
        "reliability.change_servicelevel",
        "reliability.place_legal_hold",
        "reconciliation.run_recovery",
        "reconciliation.run_drill",
        "reconciliation.run_reconciliation",
        "reconciliation.resolve_discrepancy",
        "reconciliation.operate_marketdata",
    ),
    "approver": (
        "reliability.approve_intervention",
        "reliability.acknowledge_alert",
        "reliability.place_legal_hold",
        "reliability.release_legal_hold",
        "brokers.decide_order",
        "brokers.release_kill_switch",
        "brokers.release_freeze",
        "brokers.adjust_position",
        "brokers.book_cash",
        "reconciliation.resolve_discrepancy",
    ),
    # Sets up who may do what and where messages and orders go; trades, releases and approves nothing.
    "admin": (
        "auth.view_user",
        "auth.add_user",
        "auth.change_user",
        "auth.view_group",
        "knox.view_authtoken",
        "knox.add_authtoken",
        "knox.delete_authtoken",
        "django_celery_beat.view_periodictask",
        "django_celery_beat.change_periodictask",
        "django_celery_beat.view_intervalschedule",
        "django_celery_beat.add_intervalschedule",
        "django_celery_beat.view_crontabschedule",
        "django_celery_beat.add_crontabschedule",
        "brokers.add_broker",
        "brokers.change_broker",
        "brokers.add_account",
        "brokers.change_account",
        "brokers.set_credentials",
        "reliability.add_recipient",
        "reliability.change_recipient",
        "reliability.add_rota",
        "reliability.change_rota",
        "reliability.add_rotashift",
        "reliability.change_rotashift",
        "reliability.delete_rotashift",
        "reliability.add_escalationpolicy",
        "reliability.change_escalationpolicy",
        "reliability.change_servicelevel",
        "reliability.change_retentionpolicy",
    ),
}
PURPOSES = {
    "viewer": "sees everything that is on record, and changes nothing",
    "trader": "sends, changes and cancels orders",
    "operator": "keeps it running: dead letters, circuits, freezes, incidents, reconciliation; asks for what needs two",
    "approver": "is the second person: agrees to what an operator asked for, or sends it back",
    "admin": "sets up people, brokers, credentials, channels and schedules; trades and approves nothing",
}


def may(role: str, permission: str) -> bool:
    """Return whether a role has a permission, written as ``app.codename``."""
    app, _, codename = permission.partition(".")
    return permission in ROLES[role] or (app in OUR_APPS and codename.startswith("view_"))


class Door(Enum):
    """Open: nobody is asked. Anybody: whoever is logged in. Guarded: whoever has the permissions."""

    OPEN = "open"
    ANYBODY = "anybody logged in"
    GUARDED = "guarded"


@dataclass(frozen=True, slots=True)
class Entrance:
    """One method of one address, and the permissions it asks for."""

    route: str
    method: str
    door: Door
    permissions: tuple[str, ...] = ()

    def lets_in(self, role: str) -> bool:
        """Return whether somebody of the role, logged in, comes through."""
        return all(may(role, permission) for permission in self.permissions)


class UnknownGuardError(Exception):
    """An address is guarded by something this module cannot read."""


def list_entrances() -> list[Entrance]:
    """Return every address of the web process but those of the admin, read from the code that guards them.

    Raises:
        UnknownGuardError: an endpoint is guarded by nothing that is known here.
    """
    found: list[Entrance] = []
    for route, pattern in _patterns(get_resolver(), ""):
        if route.startswith("admin/"):
            continue
        view = getattr(pattern.callback, "cls", None)
        found += _of_class(route, view) if view is not None else _of_function(route, pattern.callback)
    return found


def _patterns(resolver: URLResolver, before: str) -> Iterator[tuple[str, URLPattern]]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from _patterns(one, before + str(one.pattern))
        else:
            yield before + str(one.pattern), one


def _of_class(route: str, view: Any) -> Iterator[Entrance]:
    classes: list[type[BasePermission]] = list(view.permission_classes)
    for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
        if not hasattr(view, method.lower()):
            continue
        if Requires in classes:
            needed = view.required_permissions.get(method) or view.required_permissions.get("*")
            yield Entrance(route, method, Door.GUARDED, permissions_in(needed) or ("nobody.nothing",))
        elif [one.__name__ for one in classes] == ["IsAuthenticated"]:
            yield Entrance(route, method, Door.ANYBODY)
        else:
            raise UnknownGuardError(f"{method} {route}: {classes}")


def _of_function(route: str, view: Callable[..., Any]) -> Iterator[Entrance]:
    needed, asks, methods = _guards(view)
    door = Door.GUARDED if needed else Door.ANYBODY if asks else Door.OPEN
    for method in methods:
        yield Entrance(route, method, door, needed)


def _guards(view: Callable[..., Any] | None) -> tuple[tuple[str, ...], bool, tuple[str, ...]]:
    """Return permissions, whether a login is asked for, and methods, from the decorators around a view."""
    permissions: tuple[str, ...] = ()
    asks, methods = False, ("GET",)
    while view is not None:
        cells = _cells(view)
        test = cells.get("test_func")
        if test is not None:
            asks = True
            permissions += tuple(_cells(test).get("perms", ()))
        methods = tuple(cells.get("request_method_list", methods))
        view = getattr(view, "__wrapped__", None)
    return permissions, asks, methods


def _cells(function: Any) -> dict[str, Any]:
    if not isinstance(function, FunctionType) or function.__closure__ is None:
        return {}
    return dict(zip(function.__code__.co_freevars, (one.cell_contents for one in function.__closure__), strict=True))
