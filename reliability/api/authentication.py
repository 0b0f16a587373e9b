"""Who calls: a token, or a browser's session with CSRF protection."""

from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib.auth import get_user_model
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from reliability.services.prepared import fetch_prepared

_USER_FIELDS = ("id", "is_superuser", "username", "is_staff", "is_active")  # in the order of the model's own fields
# What ``ModelBackend`` asks for in two further queries; a superuser may everything.
_PERMISSIONS = """
CASE WHEN person.is_superuser THEN NULL ELSE ARRAY(
    SELECT type.app_label || '.' || permission.codename
    FROM auth_permission permission JOIN django_content_type type ON type.id = permission.content_type_id
    WHERE permission.id IN (
        SELECT own.permission_id FROM auth_user_user_permissions own WHERE own.user_id = person.id
        UNION ALL
        SELECT of_group.permission_id FROM auth_group_permissions of_group
        JOIN auth_user_groups member ON member.group_id = of_group.group_id WHERE member.user_id = person.id
    )
) END
"""
_FIND = f"""
SELECT token.expiry, {{accounts}}, {_PERMISSIONS}, {", ".join(f"person.{name}" for name in _USER_FIELDS)}
FROM knox_authtoken token JOIN auth_user person ON person.id = token.user_id
WHERE token.digest = %s
"""  # noqa: S608  # names of our own code


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was shown: its hash, and the accounts it is limited to, by id; None where it is not."""

    digest: str
    accounts: frozenset[int] | None = None


class TokenAuthentication(KnoxTokenAuthentication):
    """``Authorization: Bearer <token>``: found by its hash, expired and revoked ones refused.

    The user and what it may come in one query, plain SQL because every order makes it; the rest is read if asked for.
    ``accounts_sql`` says which accounts a token is limited to, for an app that knows accounts.
    """

    accounts_sql: ClassVar[str] = "NULL::bigint[]"

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Token]:
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError:
            raise AuthenticationFailed("The token is not valid.") from None
        found = fetch_prepared(_FIND.format(accounts=self.accounts_sql), [digest])
        if not found:
            raise AuthenticationFailed("The token is not valid.")
        expiry, accounts, permissions, *values = found[0]
        if expiry is not None and expiry <= timezone.now():
            raise AuthenticationFailed("The token has expired.")
        user: Any = get_user_model().from_db("default", _USER_FIELDS, values)
        if not user.is_active:
            raise AuthenticationFailed("The user is not active.")
        if permissions is not None:
            user._perm_cache = set(permissions)  # where ``ModelBackend`` looks before it asks
        return user, Token(digest, None if accounts is None else frozenset(accounts))


class SessionAuthentication(RestSessionAuthentication):
    """The stock session authentication, answering 401 with a challenge when nobody is logged in."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
