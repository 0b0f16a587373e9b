"""API tokens that may reach some accounts only."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class TokenLimit(models.Model):
    """The accounts a token may reach, by id; a token without such a row may reach all of them.

    Ids, not rows that point at accounts: with the last account gone the token reaches none. The database deletes the
    row together with its token, whoever deletes that.
    """

    token = models.OneToOneField(
        "knox.AuthToken", on_delete=models.CASCADE, primary_key=True, db_constraint=False, related_name="limit"
    )
    accounts = ArrayField(models.BigIntegerField())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"limit of {self.token_id[:8]}"
