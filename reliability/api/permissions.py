"""Who may do what: every endpoint names the permission it needs."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request


class Requires(BasePermission):
    """A logged-in caller with the permission that the view names for the method.

    Views set ``required_permissions``: a mapping of method to permission; ``"*"`` stands
    for all other methods. A method without an entry is refused; HEAD needs what GET needs.
    A method the view does not have passes, so that it is answered as not allowed.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.user is None or not request.user.is_authenticated:
            return False
        method = "GET" if request.method == "HEAD" else str(request.method)
        if not hasattr(view, method.lower()):
            return True
        needed = view.required_permissions.get(method) or view.required_permissions.get("*")
        self.message = f"This needs the permission {needed}." if needed else "This method is not open to anybody."
        return bool(needed) and request.user.has_perm(needed)
