"""What is promised of each kind of call or connection, and what became of it."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from reliability.core.burn_rate import Objective


class ServiceLevel(models.Model):
    """An objective for one service: a class of calls, counted by occurrence, or a connection, counted by time."""

    service = models.CharField(max_length=64, primary_key=True)
    description = models.CharField(max_length=200, blank=True, default="")
    target_percent = models.DecimalField(
        max_digits=6,
        decimal_places=4,
        validators=[MinValueValidator(50), MaxValueValidator(99.9999)],
        help_text="Share that has to be good, in percent; what is left to 100 is the error budget.",
    )
    is_alerting = models.BooleanField("alerts", default=True, help_text="Off: it is measured and shown only.")

    class Meta:
        ordering = ["service"]
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return f"{self.service}: {self.target_percent} %"

    @property
    def objective(self) -> Objective:
        return Objective(float(self.target_percent) / 100)


class ServiceSample(models.Model):
    """Good and bad ones of a service at one subject since counting began, as of an instant; only ever growing."""

    service = models.CharField(max_length=64)
    subject = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=Now())
    good = models.BigIntegerField()
    bad = models.BigIntegerField()

    class Meta:
        ordering = ["-at"]
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["service", "subject", "at"], name="servicesample_once")]

    def __str__(self) -> str:
        return f"{self.service} {self.subject} at {self.at}: {self.good} good, {self.bad} bad"
