"""What is to be done, and by whom: mails that wait, leases."""

from __future__ import annotations

from django.db import models

from config.models import Mail
from ico.models.sale import Entrant


class OutboxMessage(Mail):
    """A mail to an entrant. Written by `outbox`."""

    class Kind(models.TextChoices):
        PLACE = "place", "your place in line"
        INVITATION = "invitation", "your invitation"

    kind = models.CharField(max_length=10, choices=Kind.choices)
    entrant = models.ForeignKey(Entrant, on_delete=models.CASCADE, related_name="messages")

    class Meta:
        verbose_name = "mail"
        indexes = [models.Index(fields=["state", "due_at"], name="outbox_due")]


class Lease(models.Model):
    """Who alone may do a job until when. Written by `leases`."""

    name = models.CharField(primary_key=True, max_length=64)
    holder = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} until {self.expires_at:%H:%M:%S}"
