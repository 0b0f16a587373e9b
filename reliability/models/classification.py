"""Failures no rule knew, and the rules people made of them."""

from django.db import models
from django.db.models.functions import Now

from reliability.core.classification import Operation, Proof
from reliability.core.guesses import GuessState


class ErrorRule(models.Model):
    """What a failure means, decided by a person; every process uses it within seconds. Never deleted: switched off."""

    source = models.CharField(max_length=64, help_text="Who speaks, for example alpaca_rest or ccxt.")
    operations = models.JSONField(
        default=list, blank=True, help_text="The operations it holds for; none chosen: every operation."
    )
    raw_code = models.CharField(
        max_length=200, blank=True, default="", help_text="The source's own code, exactly. Empty: any code."
    )
    message = models.CharField(
        max_length=300,
        blank=True,
        default="",
        help_text="Words the message must contain; * stands for anything between them. Empty: any message.",
    )
    code = models.CharField(max_length=64, help_text="The code of the catalogue.")
    proof = models.CharField(
        max_length=16,
        choices=[(proof.value, proof.value) for proof in Proof],
        default=Proof.UNPROVEN.value,
        help_text=(
            "What such a failure proves. not_sent and refused say that nothing happened: "
            "if that is wrong, an order is sent twice."
        ),
    )
    is_active = models.BooleanField(default=True, verbose_name="in use")
    author = models.CharField(max_length=150)
    reason = models.CharField(max_length=1000)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        default_permissions = ("view", "add", "change")
        constraints = [
            models.UniqueConstraint(fields=["source", "operations", "raw_code", "message"], name="error_rule_once"),
            models.CheckConstraint(
                condition=~models.Q(raw_code="", message=""), name="error_rule_names_code_or_message"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.raw_code or 'any code'}{f' ~ {self.message}' if self.message else ''}"


class ErrorGuess(models.Model):
    """A kind of failure that was guessed, and how often; one row however many there were."""

    fingerprint = models.CharField(max_length=64, unique=True)
    source = models.CharField(max_length=64)
    operation = models.CharField(max_length=16, choices=[(member.value, member.value) for member in Operation])
    raw_code = models.CharField(max_length=200, blank=True, default="")
    message = models.CharField(max_length=300, blank=True, default="", help_text="With * for what varies.")
    sample = models.CharField(max_length=1000, blank=True, default="", help_text="The message as it was first met.")
    code = models.CharField(max_length=64, verbose_name="guessed code")
    confidence = models.FloatField()
    proof = models.CharField(max_length=16)
    ambiguous = models.BooleanField()
    count = models.PositiveBigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in GuessState], default=GuessState.NEW.value
    )
    decided_by = models.CharField(max_length=150, blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_reason = models.CharField(max_length=1000, blank=True, default="")
    rule = models.ForeignKey(ErrorRule, on_delete=models.PROTECT, null=True, blank=True, related_name="guesses")

    class Meta:
        ordering = ["-last_seen_at"]
        default_permissions = ("view",)
        permissions = [("decide_errorguess", "Can confirm, correct and reject guesses")]
        verbose_name_plural = "error guesses"
        indexes = [models.Index(fields=["state", "-last_seen_at"], name="error_guess_state")]

    def __str__(self) -> str:
        words = " ".join(part for part in (self.raw_code, self.message) if part)
        return f"{self.source} {self.operation}: {words} ({self.count} times, guessed {self.code}, {self.proof})"
