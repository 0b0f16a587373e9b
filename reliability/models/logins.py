"""Wrong passwords of late."""

from django.db import models
from django.db.models.functions import Now


class LoginFailure(models.Model):
    """One wrong password. Names are kept as keyed digests: people type passwords where the name belongs."""

    person = models.CharField(max_length=64)
    address = models.CharField(max_length=64)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["person", "address", "-at"], name="loginfailure_pair"),
            models.Index(fields=["address", "-at"], name="loginfailure_address"),
        ]

    def __str__(self) -> str:
        return f"wrong password at {self.at}"
