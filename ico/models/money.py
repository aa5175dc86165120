"""The chains as far as they were followed, the addresses, and what arrived at them."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from ico.amounts import DIGITS, AmountField
from ico.models.sale import Chain, Invitation


class ChainCursor(models.Model):
    """How far a chain has been followed, and the next index of its account key that no address was derived at. Written
    by `deposits`, but for next_index (`addresses`)."""

    chain = models.CharField(primary_key=True, max_length=3, choices=Chain.choices)
    height = models.BigIntegerField(default=-1)
    block_hash = models.CharField(max_length=66, blank=True)
    tip_height = models.BigIntegerField(default=-1)
    followed_at = models.DateTimeField(null=True)
    next_index = models.PositiveIntegerField(default=0)
    # `db_default`: the release before this one goes on writing rows while this one is put in place.
    start_height = models.BigIntegerField(null=True, help_text="Where following began: no payment to us lies below.")
    network = models.CharField(max_length=32, blank=True, default="", db_default="", help_text="As the node calls it.")
    trouble = models.CharField(max_length=300, blank=True, default="", db_default="", help_text="Of the last step.")
    trouble_since = models.DateTimeField(null=True)
    behind_since = models.DateTimeField(null=True, help_text="Since when the node's tip is below what was followed.")
    tip_at = models.DateTimeField(null=True, help_text="Until when payments were looked for: the tip's time.")
    load_trouble = models.CharField(
        max_length=300, blank=True, default="", db_default="", help_text="Why the chain's load is not read."
    )

    class Meta:
        verbose_name = "followed chain"

    def __str__(self) -> str:
        return f"{self.chain} at {self.height}"

    @property
    def looked_until(self) -> datetime | None:
        """Up to which moment payments were looked for, if it is followed to its tip."""
        return min(self.followed_at, self.tip_at) if self.followed_at and self.tip_at else None


class FollowedBlock(models.Model):
    """A block as it was when it was followed; recent ones only, to find the way back after a reorg.
    Written by `deposits`."""

    chain = models.CharField(max_length=3, choices=Chain.choices)
    height = models.BigIntegerField()
    block_hash = models.CharField(max_length=66)
    parent_hash = models.CharField(max_length=66)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chain", "height"], name="followed_block_once")]

    def __str__(self) -> str:
        return f"{self.chain} {self.height}"


class ChainReading(models.Model):
    """The newest reading of a chain's load. Written by `deposits`, read by `release`."""

    chain = models.CharField(primary_key=True, max_length=3, choices=Chain.choices)
    load = models.FloatField(help_text="Mean gas-used ratio of the last 20 blocks, 0 to 1.")
    base_fee = AmountField(help_text="Of the next block, in wei.")
    tip = AmountField(
        default=0, db_default="0" * DIGITS, help_text="Median of what senders add to the base fee, in wei."
    )
    observed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.chain} {self.load:.0%}"


class DepositAddress(models.Model):
    """An address derived from the account's public key, ahead of its use; handed out once, to one invitation, and
    watched for good. Written by `addresses`."""

    chain = models.CharField(max_length=3, choices=Chain.choices)
    index = models.PositiveIntegerField()
    address = models.CharField(max_length=90)
    wire = models.GeneratedField(
        expression=Lower("address"),
        output_field=models.CharField(max_length=90),
        db_persist=True,
        help_text="As blocks write it.",
    )
    invitation = models.ForeignKey(Invitation, on_delete=models.PROTECT, null=True, related_name="addresses")
    issued_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deposit addresses"
        constraints = [
            models.UniqueConstraint(fields=["chain", "index"], name="deposit_address_index_used_once"),
            models.UniqueConstraint(fields=["chain", "address"], name="deposit_address_unique"),
            models.UniqueConstraint(fields=["chain", "wire"], name="deposit_address_on_the_wire_unique"),
            models.UniqueConstraint(fields=["chain", "invitation"], name="deposit_address_one_per_invitation"),
            models.CheckConstraint(
                condition=Q(invitation=None, issued_at=None) | Q(invitation__isnull=False, issued_at__isnull=False),
                name="deposit_address_issued_whole",
            ),
        ]
        indexes = [models.Index(fields=["chain", "invitation", "index"], name="deposit_address_ahead")]

    def __str__(self) -> str:
        return f"{self.chain} {self.address}"

    @property
    def owner(self) -> Invitation:
        """Whom it was handed out to. Raises `ValueError` for one that waits to be."""
        if self.invitation is None:
            raise ValueError(f"{self} was not handed out")
        return self.invitation

    @property
    def owner_id(self) -> int:
        """As `owner`, without a query."""
        if self.invitation_id is None:
            raise ValueError(f"{self} was not handed out")
        return self.invitation_id


class Deposit(models.Model):
    """A transfer to one of our addresses. Identity: (chain, txid, position), position being the output's index on
    Bitcoin and 0 on Ethereum. Written by `deposits`."""

    class State(models.TextChoices):
        SEEN = "seen", "seen, in no block yet"
        CONFIRMING = "confirming", "in a block, not deep enough"
        CREDITED = "credited", "credited"
        REVIEW = "review", "in review"
        DROPPED = "dropped", "dropped or replaced"

    class Review(models.TextChoices):
        EXCESS = "excess", "more than the allowance"
        DUST = "dust", "below the minimum"
        LATE = "late", "after the allowance had ended"
        REORG = "reorg", "un-confirmed after it was credited"

    chain = models.CharField(max_length=3, choices=Chain.choices)
    txid = models.CharField(max_length=66)
    position = models.PositiveIntegerField(default=0)
    address = models.ForeignKey(DepositAddress, on_delete=models.PROTECT, related_name="deposits")
    amount = AmountField(help_text="Satoshi or wei.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.SEEN)
    review = models.CharField(max_length=6, choices=Review.choices, blank=True)
    block_height = models.BigIntegerField(null=True)
    block_hash = models.CharField(max_length=66, blank=True)
    credited_cents = models.PositiveBigIntegerField(default=0)
    owed_back = AmountField(default=0, help_text="Satoshi or wei credited to nobody.")
    first_seen_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)
    settled_tip = models.BigIntegerField(null=True, help_text="How high the chain was followed when it was settled.")
    settled_final = models.BigIntegerField(null=True, help_text="Up to which height blocks counted as final then.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain", "txid", "position"], name="deposit_identity"),
        ]
        indexes = [models.Index(fields=["chain", "state"], name="deposit_unsettled")]

    def __str__(self) -> str:
        return f"{self.chain} {self.txid[:12]}… ({self.state})"


class LedgerEntry(models.Model):
    """What was booked for a deposit: a credit, or the compensation of one. Never changed. Written by `deposits`."""

    deposit = models.ForeignKey(Deposit, on_delete=models.PROTECT, related_name="entries")
    invitation = models.ForeignKey(Invitation, on_delete=models.PROTECT, related_name="entries")
    cents = models.BigIntegerField(help_text="Positive: credited. Negative: a compensation.")
    booked_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{self.cents / 100:+.2f} for {self.invitation_id}"
