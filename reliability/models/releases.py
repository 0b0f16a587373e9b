"""Which releases ran here: a row from the first start of each, so that pages can mark when it came."""

from django.db import models
from django.db.models.functions import Now


class Release(models.Model):
    """One release, by the name that its processes are started with; the order of rows is the order of releases."""

    name = models.CharField(max_length=64, unique=True)
    started_at = models.DateTimeField(db_default=Now(), help_text="When its first process started.")

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name
