"""Tables of every application: mails that wait to be sent, what may be sent of them, and which sessions have ended."""

from __future__ import annotations

from django.db import models


class Mail(models.Model):
    """A mail that must go out, written in the transaction of the change it tells about: the columns of every outbox.
    Written by `outbox`. Whoever has one adds `kind` and a foreign key to what the mail is about."""

    class State(models.TextChoices):
        PENDING = "pending", "pending"
        CLAIMED = "claimed", "claimed by a worker"
        SENT = "sent", "sent"
        PARKED = "parked", "parked after repeated failures"

    # `outbox.put` begins it with the kind. Message-IDs are made from it, so no two outboxes have a kind of one name.
    key = models.CharField(max_length=64, unique=True, help_text="One mail per key, whatever happens.")
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
        abstract = True

    def __str__(self) -> str:
        return f"{self.key} ({self.state})"


class MailBudget(models.Model):
    """What the mail account may send, and whether the mail server takes mails at all; one row, which all workers
    share. Written by `budget`."""

    name = models.CharField(primary_key=True, max_length=16)
    full_at = models.DateTimeField(help_text="When no turn is missing any more; each turn taken moves it.")
    closed_until = models.DateTimeField(help_text="No mail is tried before this.")
    setbacks = models.PositiveIntegerField(default=0, help_text="How often it was closed since a mail went through.")

    class Meta:
        # It began as the sale's. Under another name a release and the one before it would have an account's rate each.
        db_table = "ico_mailbudget"

    def __str__(self) -> str:
        return f"{self.name}: closed until {self.closed_until:%H:%M:%S}"


class EndedSession(models.Model):
    """A session that somebody ended, under the SHA-256 of its key: whatever a cache says, nobody is logged in by it.
    Kept for longer than a copy can live. Written by `sessions`."""

    digest = models.CharField(max_length=64, primary_key=True)
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest
