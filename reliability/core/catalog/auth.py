"""Codes of the category auth: identity and permission."""

from reliability.core.taxonomy import ErrorCategory as Cat
from reliability.core.taxonomy import ErrorDefinition
from reliability.core.taxonomy import ErrorSeverity as Sev
from reliability.core.taxonomy import RecoveryStrategy as Do

DEFINITIONS: tuple[ErrorDefinition, ...] = (
    ErrorDefinition(
        "AUTH_INVALID_CREDENTIALS", Cat.AUTHENTICATION, Sev.CRITICAL, Do.MANUAL,
        "The broker does not accept the account's credentials.",
        "Replace the account's credentials; waiting orders then go on by themselves.",
        retryable=True, http_status=503,
        manual_steps="Issue new keys at the broker and enter them in admin under Accounts.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "AUTH_FORBIDDEN", Cat.AUTHENTICATION, Sev.CRITICAL, Do.MANUAL,
        "The broker forbids this to the account.", "Check the account's permissions at the broker.",
        retryable=True, http_status=503,
        manual_steps="Compare the key's permissions at the broker with what the account is used for.",
        escalation="operator at once",
    ),
    ErrorDefinition(
        "AUTH_NOT_AUTHENTICATED", Cat.AUTHENTICATION, Sev.LOW, Do.MANUAL,
        "Credentials are missing, wrong or expired.",
        "Send 'Authorization: Bearer <token>' with a token that is valid.", http_status=401,
    ),
    ErrorDefinition(
        "AUTH_PERMISSION_DENIED", Cat.AUTHENTICATION, Sev.LOW, Do.MANUAL,
        "You may not do this.", "Ask an administrator for the permission named in the details.", http_status=403,
    ),
)  # fmt: skip
