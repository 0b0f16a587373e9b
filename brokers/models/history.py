"""The seals of append-only rows and the anchors over them."""

from django.db import models


class SealedRow(models.Model):
    """The seal of one append-only row: its place in its chain, the seal before it, and its own hash.

    ``ledger`` is the code of the row's table, ``form`` the version of how content is written
    down, ``anchor`` the number of the anchor that covers it. Append-only.
    """

    pk = models.CompositePrimaryKey("ledger", "row_id")
    row_id = models.BigIntegerField()
    position = models.BigIntegerField()
    anchor = models.BigIntegerField()
    ledger = models.SmallIntegerField()
    form = models.SmallIntegerField()
    previous = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        db_table = "brokers_event_seal"
        default_permissions = ()

    def __str__(self) -> str:
        return f"seal of row {self.row_id} in ledger {self.ledger}"


class HistoryAnchor(models.Model):
    """One sealing pass: how many rows, which, the hash over their seals, and the anchor before. Append-only."""

    number = models.BigIntegerField(primary_key=True)
    rows = models.PositiveIntegerField()
    previous = models.BinaryField()
    root = models.BinaryField()
    contents = models.TextField()
    marks = models.BinaryField()
    hash = models.BinaryField()
    recorded_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-number"]
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"anchor {self.number}"


class SealCursor(models.Model):
    """How far one ledger is sealed.

    Every row up to ``sealed_id`` is sealed but those in ``gaps``: ids that were not there
    when their neighbours were, each ``[first, last, transaction, instant]``. Their rows are
    sealed when they appear, and given up when no transaction of then is left to bring them.
    ``position`` and ``head`` are the end of the chain of a ledger that is one chain.
    """

    ledger = models.SmallIntegerField(primary_key=True)
    sealed_id = models.BigIntegerField(default=0)
    position = models.BigIntegerField(default=0)
    head = models.BinaryField(default=bytes(32))
    gaps = models.JSONField(default=list)
    caught_up_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"ledger {self.ledger} sealed up to {self.sealed_id}"
