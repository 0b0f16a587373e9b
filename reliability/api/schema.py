"""Shapes of answers, for the API documentation."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers

from reliability.core.taxonomy import ErrorCategory, ErrorSeverity, RecoveryStrategy


class ErrorFieldsSerializer(serializers.Serializer[object]):
    code = serializers.CharField()
    message = serializers.CharField()
    category = serializers.ChoiceField([member.value for member in ErrorCategory])
    severity = serializers.ChoiceField([member.value for member in ErrorSeverity])
    retryable = serializers.BooleanField()
    details = serializers.DictField()
    timestamp = serializers.DateTimeField()
    correlationId = serializers.CharField()  # noqa: N815  # the published format
    suggestion = serializers.CharField()


class RecoveryFieldsSerializer(serializers.Serializer[object]):
    strategy = serializers.ChoiceField([member.value for member in RecoveryStrategy])
    retryAfter = serializers.IntegerField(required=False)  # noqa: N815  # the published format
    fallback = serializers.CharField(required=False)
    manual = serializers.CharField(required=False)


class ErrorSerializer(serializers.Serializer[object]):
    """Every error of this API."""

    error = ErrorFieldsSerializer()
    recovery = RecoveryFieldsSerializer()


ERROR_RESPONSES = dict.fromkeys((400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 429, 500, 503), ErrorSerializer)


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "reliability.api.authentication.TokenAuthentication"
    match_subclasses = True
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "reliability.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
