"""Who calls: a token, or a browser's session with CSRF protection."""

from typing import Any

from django.contrib.auth import get_user_model
from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from reliability.services.prepared import fetch_prepared

_USER_FIELDS = ("id", "is_superuser", "username", "is_staff", "is_active")  # in the order of the model's own fields
_FIND = """
SELECT token.expiry, {fields} FROM knox_authtoken token JOIN auth_user person ON person.id = token.user_id
WHERE token.digest = %s
""".format(fields=", ".join(f"person.{name}" for name in _USER_FIELDS))


class TokenAuthentication(KnoxTokenAuthentication):
    """``Authorization: Bearer <token>``: found by its hash in one query, expired and revoked ones refused.

    The query is plain SQL because every order makes it; the rest of the user is read if asked for.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Any, str]:
        try:
            digest = hash_token(token.decode("ascii"))
        except UnicodeDecodeError:
            raise AuthenticationFailed("The token is not valid.") from None
        found = fetch_prepared(_FIND, [digest])
        if not found:
            raise AuthenticationFailed("The token is not valid.")
        expiry, *values = found[0]
        if expiry is not None and expiry <= timezone.now():
            raise AuthenticationFailed("The token has expired.")
        user = get_user_model().from_db("default", _USER_FIELDS, values)
        if not user.is_active:
            raise AuthenticationFailed("The user is not active.")
        return user, digest


class SessionAuthentication(RestSessionAuthentication):
    """The stock session authentication, answering 401 with a challenge when nobody is logged in."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
