"""Django settings. Everything that differs between installations comes from the environment."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from brokers.core.baskets import MODE as BASKET_MODE
from brokers.core.freezes import FreezeMode
from brokers.core.orders import OrderState
from config.environment import read_environment
from config.logging import logging_settings
from reliability.redis_client import pool_class

ENV = read_environment()
BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = ENV["STANCHION_SECRET_KEY"]
DEBUG = ENV["STANCHION_DEBUG"]
ALLOWED_HOSTS = ENV["STANCHION_ALLOWED_HOSTS"]
CSRF_TRUSTED_ORIGINS = ENV["STANCHION_TRUSTED_ORIGINS"]

INSTALLED_APPS = [
    "config.apps.StanchionAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "django_celery_beat",
    "rest_framework",
    "knox",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "reliability.apps.ReliabilityConfig",
    "brokers.apps.BrokersConfig",
    "reconciliation.apps.ReconciliationConfig",
    "config.apps.StanchionConfig",
]

FORM_RENDERER = "django.forms.renderers.TemplatesSetting"  # templates/admin/widgets comes before Django's own

MIDDLEWARE = [
    "reliability.tracing_middleware.TracingMiddleware",
    "reliability.middleware.MeasuringMiddleware",
    "reliability.middleware.CorrelationMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "reliability.middleware.ContentSecurityPolicyMiddleware",
    "reliability.middleware.DeepHealthMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "config.middleware.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.views.installation",
            ]
        },
    }
]

# A process frozen within a transaction keeps its locks, and whoever waits for them cannot renew its own
# leases: PostgreSQL ends such a session well before a lease is over.
IDLE_MS = round(1000 * max(2.0, ENV["STANCHION_JOB_LEASE_SECONDS"] / 3))
DATABASES = {
    "default": {
        "ENGINE": "config.database",
        **ENV["DATABASE_URL"],
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 3,
            "prepare_threshold": 5,
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "keepalives_count": 3,
            "tcp_user_timeout": 3000,
            "application_name": "stanchion",
            "options": f"-c statement_timeout=15s -c idle_in_transaction_session_timeout={IDLE_MS} -c timezone=UTC",
        },
    }
}

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": [ENV["REDIS_URL"]],  # a list: in a text, commas between sentinels would part it
        "KEY_PREFIX": "stanchion",
        "VERSION": 2,  # what releases before cached was no JSON; they go on with their own while both run
        "OPTIONS": {
            "serializer": "config.json_cache.JsonSerializer",
            "pool_class": pool_class(ENV["REDIS_URL"]),
            "socket_timeout": 0.5,
            "socket_connect_timeout": 0.5,
        },
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 3600

LOGIN_URL = "/admin/login/"
LOGIN_REDIRECT_URL = "/"
SECOND_FACTOR = ENV["STANCHION_SECOND_FACTOR"]
OTP_TOTP_ISSUER = f"Stanchion {ENV['STANCHION_INSTANCE']}".strip()
TRUSTED_PROXIES = ENV["STANCHION_TRUSTED_PROXIES"]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
if ENV["STANCHION_HTTPS"]:
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^health/", r"^metrics$"]  # asked for beside the proxy, by health checks and the scrape
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

DATA_UPLOAD_MAX_MEMORY_SIZE = ENV["STANCHION_MAX_BODY_BYTES"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "brokers.api.authentication.LimitedTokenAuthentication",
        "reliability.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["reliability.api.throttling.UserThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["reliability.api.parsers.DecimalJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "reliability.api.errors.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=ENV["STANCHION_TOKEN_DAYS"]),
    "TOKEN_PREFIX": "st_",
    "AUTH_HEADER_PREFIX": "Bearer",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Stanchion",
    "DESCRIPTION": "Orders carried out exactly once in effect, and everything known about them.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "SERVE_AUTHENTICATION": [
        "reliability.api.authentication.SessionAuthentication",
        "brokers.api.authentication.LimitedTokenAuthentication",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "OrderStateEnum": [state.value for state in OrderState],
        "AcceptedStateEnum": [OrderState.ACCEPTED.value],
        "BasketModeEnum": [BASKET_MODE],
        "FreezeModeEnum": [mode.value for mode in FreezeMode],
    },
}

LOGGING = logging_settings(ENV["STANCHION_LOG_LEVEL"], as_json=ENV["STANCHION_LOG_JSON"])
LOGGING_CONFIG = "logging.config.dictConfig"

INSTANCE = ENV["STANCHION_INSTANCE"]

# Stanchion's own values; each app reads its part in its ``conf.py``.
RELIABILITY: dict[str, Any] = {
    "job_lease": timedelta(seconds=ENV["STANCHION_JOB_LEASE_SECONDS"]),
    "flower_url": ENV["STANCHION_FLOWER_URL"],
    "flower_login": ENV["STANCHION_FLOWER_LOGIN"],
    "redis_url": ENV["REDIS_URL"],
    "traces_url": ENV["STANCHION_TRACES_URL"],
    "traces_ratio": ENV["STANCHION_TRACES_RATIO"],
    "export_directory": ENV["STANCHION_EXPORT_DIR"],
    "public_url": ENV["STANCHION_PUBLIC_URL"],
    "release": ENV["STANCHION_RELEASE"],
    "private_channels": ENV["STANCHION_PRIVATE_CHANNELS"],
    "heartbeat_url": ENV["STANCHION_HEARTBEAT_URL"],
    "encryption_keys": tuple(ENV["STANCHION_ENCRYPTION_KEY"]),
    "calling_processes": ENV["STANCHION_CALLING_PROCESSES"],
    "requests_per_second": ENV["STANCHION_REQUESTS_PER_SECOND"],
}
BROKERS: dict[str, Any] = {
    "encryption_keys": tuple(ENV["STANCHION_ENCRYPTION_KEY"]),
    "settle_time": timedelta(seconds=ENV["STANCHION_SETTLE_SECONDS"]),
    "anchor_file": ENV["STANCHION_ANCHOR_FILE"],
    "private_networks": tuple(ENV["STANCHION_PRIVATE_BROKERS"]),
}
MESSAGE_BROKER_URL = ENV["STANCHION_BROKER_URL"] or ENV["REDIS_URL"]
