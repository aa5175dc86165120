"""What is to be done, and by whom: mails that wait, what the mail account may send, leases."""

from __future__ import annotations

from django.db import models

from ico.models.sale import Entrant


class OutboxMessage(models.Model):
    """A mail that must go out, written in the transaction of the change it tells about. Written by `outbox`."""

    class Kind(models.TextChoices):
        PLACE = "place", "your place in line"
        INVITATION = "invitation", "your invitation"

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        CLAIMED = "claimed", "claimed by a worker"
        SENT = "sent", "sent"
        PARKED = "parked", "parked after repeated failures"

    key = models.CharField(max_length=64, unique=True, help_text="One mail per key, whatever happens.")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    entrant = models.ForeignKey(Entrant, on_delete=models.CASCADE, related_name="messages")
    state = models.CharField(max_length=7, choices=State.choices, default=State.PENDING, editable=False)
    due_at = models.DateTimeField(help_text="Not tried before this; a claim pushes it to the end of its lease.")
    claim = models.CharField(max_length=32, blank=True, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    message_id = models.CharField(max_length=200, blank=True, editable=False)
    taken_as = models.CharField(
        max_length=200, blank=True, default="", db_default="", editable=False, help_text="The mail service's own id."
    )
    # `db_default`: the release before this one goes on writing rows while this one is put in place.
    request_id = models.CharField(
        max_length=64, blank=True, default="", db_default="", editable=False, help_text="The request that caused it."
    )
    last_error = models.CharField(max_length=200, blank=True, editable=False)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "mail"
        indexes = [models.Index(fields=["state", "due_at"], name="outbox_due")]

    def __str__(self) -> str:
        return f"{self.key} ({self.state})"


class MailBudget(models.Model):
    """What the mail account may send, and whether the mail server takes mails at all; one row, which all workers
    share. Written by `budget`."""

    name = models.CharField(primary_key=True, max_length=16)
    full_at = models.DateTimeField(help_text="When no turn is missing any more; each turn taken moves it.")
    closed_until = models.DateTimeField(help_text="No mail is tried before this.")
    setbacks = models.PositiveIntegerField(default=0, help_text="How often it was closed since a mail went through.")

    def __str__(self) -> str:
        return f"{self.name}: closed until {self.closed_until:%H:%M:%S}"


class Lease(models.Model):
    """Who alone may do a job until when. Written by `leases`."""

    name = models.CharField(primary_key=True, max_length=64)
    holder = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} until {self.expires_at:%H:%M:%S}"
