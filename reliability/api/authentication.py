"""Who calls: a token, or a browser's session with CSRF protection."""

from typing import Any

from django.utils import timezone
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.authentication import SessionAuthentication as RestSessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class TokenAuthentication(KnoxTokenAuthentication):
    """``Authorization: Bearer <token>``: found by its hash in one query, expired and revoked ones refused."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, AuthToken]:
        try:
            digest = hash_token(token.decode("ascii"))
            found = AuthToken.objects.select_related("user").get(digest=digest)
        except (UnicodeDecodeError, AuthToken.DoesNotExist):
            raise AuthenticationFailed("The token is not valid.") from None
        if found.expiry is not None and found.expiry <= timezone.now():
            raise AuthenticationFailed("The token has expired.")
        user, valid = self.validate_user(found)
        return user, valid


class SessionAuthentication(RestSessionAuthentication):
    """The stock session authentication, answering 401 with a challenge when nobody is logged in."""

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
