"""Who may do what: every endpoint names the permission it needs."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class Requires(BasePermission):
    """A logged-in caller with the permission that the view names for the method.

    Views set ``required_permissions``: a mapping of method to permission, or to several that
    are all needed; ``"*"`` stands for all other methods. A method without an entry is
    refused; HEAD needs what GET needs.
    A token that is limited to accounts comes through only where the view says that it keeps to
    them: ``keeps_to_accounts``. Everything else answers for all accounts, and refuses it.
    A method the view does not have passes, so that it is answered as not allowed.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.user is None or not request.user.is_authenticated:
            return False
        method = "GET" if request.method == "HEAD" else str(request.method)
        if not hasattr(view, method.lower()):
            return True
        if accounts_of(request) is not None and not getattr(view, "keeps_to_accounts", False):
            self.message = "This answers for every account, and the token is limited to some."
            return False
        needed = view.required_permissions.get(method) or view.required_permissions.get("*")
        wanted = permissions_in(needed)
        self.message = f"This needs {_named(wanted)}." if wanted else "This method is not open to anybody."
        return bool(wanted) and request.user.has_perms(wanted)


def accounts_of(request: Request) -> frozenset[int] | None:
    """Return the ids of the accounts that the caller's token is limited to; None where there is no limit."""
    accounts: frozenset[int] | None = getattr(request.auth, "accounts", None)
    return accounts


def permissions_in(needed: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the permissions that a view names for a method: none, one or several."""
    return () if not needed else (needed,) if isinstance(needed, str) else needed


def _named(permissions: tuple[str, ...]) -> str:
    return ("the permission " if len(permissions) == 1 else "the permissions ") + " and ".join(permissions)
