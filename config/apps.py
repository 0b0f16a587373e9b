"""What Django loads of this package: the admin, and Celery's application in every process."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class StanchionAdminConfig(AdminConfig):
    default_site = "config.admin_site.StanchionAdminSite"


class StanchionConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        import config.celery  # noqa: F401  # makes it the default application of all threads
