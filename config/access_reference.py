"""The page of roles, made from the code."""

from types import SimpleNamespace
from typing import Any

from django.contrib import admin

from config.access import PURPOSES, ROLES, Door, list_entrances, may

_RIGHTS = ("view", "add", "change", "delete")


def roles_page() -> str:
    """Return the page of roles and what each may do, in Markdown."""
    heads = " | ".join(ROLES)
    rule = "|---" * len(ROLES)
    lines = [
        "# Roles",
        "",
        "A person or a program has one role or several; `manage.py prepare_installation` makes them as groups, and",
        "sets them back to this at every upgrade. A superuser may do everything and is meant for the first login only.",
        "A test knocks at every address below as nobody and as each role.",
        "",
        "| role | what it is for | permissions, besides seeing everything |",
        "|---|---|---|",
        *(f"| `{name}` | {PURPOSES[name]} | {_codes(permissions)} |" for name, permissions in ROLES.items()),
        "",
        "Where two persons are needed (release of the kill switch, of freezes that a person set, decisions on orders",
        "and money), the same person is refused as the second one whatever the roles; the second one is an approver.",
        "",
        "## API",
        "",
        f"| method | address | {heads} |",
        f"|---|---{rule}|",
        *_entrance_lines(api=True),
        "",
        "## Pages",
        "",
        f"| method | address | {heads} |",
        f"|---|---{rule}|",
        *_entrance_lines(api=False),
        "",
        "## Admin",
        "",
        "Only staff gets in. v: view, a: add, c: change, d: delete. Actions on chosen rows ask for the permission of",
        "the same act in the API.",
        "",
        f"| record | {heads} |",
        f"|---{rule}|",
        *_admin_lines(),
    ]
    return "\n".join(lines) + "\n"


def _codes(permissions: tuple[str, ...]) -> str:
    return ", ".join(f"`{one}`" for one in permissions) or "—"


def _entrance_lines(*, api: bool) -> list[str]:
    lines = []
    for one in list_entrances():
        if one.route.startswith(("api/", "^api/", "metrics", "health/")) is not api:
            continue
        marks = ["open" if one.door is Door.OPEN else "✓" if one.lets_in(role) else "·" for role in ROLES]
        lines.append(f"| {one.method} | `/{one.route.lstrip('^')}` | {' | '.join(marks)} |")
    return lines


def _admin_lines() -> list[str]:
    lines = []
    for model, page in sorted(admin.site._registry.items(), key=lambda item: item[0]._meta.label):
        cells = [admin_rights(page, role) or "·" for role in ROLES]
        lines.append(f"| {model._meta.label} | {' | '.join(cells)} |")
    return lines


def admin_rights(page: Any, role: str) -> str:
    """Return what a role may do with the rows of an admin page: the first letters of view, add, change, delete."""
    user = SimpleNamespace(
        has_perm=lambda permission, obj=None: may(role, permission),
        has_module_perms=lambda app: True,
        is_superuser=False,
        is_active=True,
        is_staff=True,
        pk=None,
    )
    request: Any = SimpleNamespace(user=user, GET={}, POST={}, resolver_match=None)
    return "".join(right[0] for right in _RIGHTS if getattr(page, f"has_{right}_permission")(request))
