"""The sale's tables.

Money of the sale is whole cents of the sale's currency; money on a chain is whole satoshi or wei (a wei amount passes
64 bits at 9.2 ETH, hence `AmountField`). Each table is written by one module only, named in its docstring.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone

from ico.amounts import DIGITS, AmountField


class Chain(models.TextChoices):
    BTC = "BTC", "Bitcoin"
    ETH = "ETH", "Ethereum"


class Sale(models.Model):
    """A first-come-first-served sale with its rules and its counters. Counters are moved by `waitlist` (last_number),
    `release` (served, gate_closed) and `caps` (reserved_cents), always by one conditional UPDATE."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    currency = models.CharField(max_length=3, default="EUR")
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()
    paused = models.BooleanField(default=False, help_text="While paused nobody is invited; the line stays open.")
    total_cap_cents = models.PositiveBigIntegerField()
    personal_cap_cents = models.PositiveBigIntegerField(help_text="The allowance of one invitation.")
    batch_size = models.PositiveIntegerField(default=100)
    batch_interval_seconds = models.PositiveIntegerField(default=60)
    invitation_lifetime_seconds = models.PositiveIntegerField(default=86_400)
    payment_lifetime_seconds = models.PositiveIntegerField(
        default=604_800, help_text="How long a participant's addresses keep their allowance reserved."
    )
    minimum_deposit_cents = models.PositiveIntegerField(
        default=100, help_text="Less than this is dust: recorded and shown, credited to nobody."
    )
    chain_load_high = models.FloatField(default=0.90, help_text="Hold releases when the chain's load rises above.")
    chain_load_low = models.FloatField(default=0.70, help_text="Go on when it has fallen below.")
    gas_price_high_gwei = models.FloatField(
        null=True, blank=True, help_text="Hold releases when base fee and median tip together rise above; empty: never."
    )
    gas_price_low_gwei = models.FloatField(null=True, blank=True, help_text="Go on when they have fallen below.")
    chain_load_max_age_seconds = models.PositiveIntegerField(default=120, help_text="Older readings hold.")

    last_number = models.PositiveBigIntegerField(default=0, editable=False)
    served = models.PositiveBigIntegerField(default=0, editable=False)
    reserved_cents = models.PositiveBigIntegerField(default=0, editable=False)
    gate_closed = models.BooleanField(default=False, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(reserved_cents__lte=F("total_cap_cents")), name="sale_total_cap_holds"),
            models.CheckConstraint(condition=Q(served__lte=F("last_number")), name="sale_serves_given_numbers"),
            models.CheckConstraint(condition=Q(opens_at__lt=F("closes_at")), name="sale_opens_before_it_closes"),
            models.CheckConstraint(
                condition=Q(personal_cap_cents__gt=0, batch_size__gt=0), name="sale_invites_somebody"
            ),
            models.CheckConstraint(
                condition=Q(personal_cap_cents__lte=F("total_cap_cents")), name="sale_personal_cap_within_total"
            ),
            models.CheckConstraint(
                condition=Q(chain_load_low__lte=F("chain_load_high")), name="sale_load_marks_in_order"
            ),
            models.CheckConstraint(
                condition=Q(gas_price_high_gwei=None, gas_price_low_gwei=None)
                | Q(gas_price_low_gwei__gt=0, gas_price_low_gwei__lte=F("gas_price_high_gwei")),
                name="sale_price_marks_in_order",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Entrant(models.Model):
    """A person in line. Written by `waitlist` (signup, number, leaving), `release` (invited) and `invitations`
    (joined, expired). A row that gave its place up keeps its number and loses its `email_digest`."""

    class State(models.TextChoices):
        WAITING = "waiting", "waiting"
        INVITED = "invited", "invited"
        JOINED = "joined", "joined"
        EXPIRED = "expired", "expired"
        LEFT = "left", "left"

    sale = models.ForeignKey(Sale, on_delete=models.PROTECT, related_name="entrants")
    email = models.EmailField(max_length=254)
    email_digest = models.CharField(
        max_length=64, null=True, editable=False, help_text="SHA-256 of the normalised address; null frees it."
    )
    number = models.PositiveBigIntegerField(null=True, editable=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING, editable=False)
    signed_up_at = models.DateTimeField(default=timezone.now, editable=False)
    client_address = models.GenericIPAddressField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["sale", "email_digest"], name="entrant_one_place_per_email"),
            models.UniqueConstraint(fields=["sale", "number"], name="entrant_number_given_once"),
        ]
        indexes = [
            models.Index(fields=["sale", "state", "number"], name="entrant_line"),
            models.Index(fields=["email"], name="entrant_email"),
        ]

    def __str__(self) -> str:
        return f"#{self.number or '…'} {self.email}"


class Terms(models.Model):
    """One version of the terms of sale. Written once by `terms`, never changed."""

    version = models.CharField(max_length=32, unique=True)
    text = models.TextField()
    digest = models.CharField(max_length=64, editable=False)
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "terms"

    def __str__(self) -> str:
        return self.version


class Rate(models.Model):
    """What one whole coin was worth, in cents, when an invitation was made. Written by `caps`."""

    chain = models.CharField(max_length=3, choices=Chain.choices)
    cents_per_coin = models.PositiveBigIntegerField()
    source = models.CharField(max_length=120)
    observed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["chain", "-observed_at"], name="rate_newest")]

    def __str__(self) -> str:
        return f"{self.chain} {self.cents_per_coin / 100:.2f} ({self.source})"


class Release(models.Model):
    """One decision of the releaser, with everything it was decided from. Written by `release`.
    A hold that repeats the one before it is counted there (`repeats`, `last_decided_at`)."""

    class Reason(models.TextChoices):
        RELEASED = "released", "released"
        NOT_OPEN = "not_open", "the sale has not opened"
        CLOSED = "closed", "the sale has closed"
        PAUSED = "paused", "paused by the operator"
        NO_SIGNAL = "no_signal", "no fresh reading of the chain's load"
        CHAIN_BUSY = "chain_busy", "the chain's load is above the mark"
        GAS_PRICE = "gas_price", "the gas price is above the mark"
        INTERVAL = "interval", "the interval since the last batch is not over"
        NO_RATE = "no_rate", "no rate between a coin and the currency is recorded"
        CAP_REACHED = "cap_reached", "no room for another allowance under the total cap"
        NOBODY_WAITING = "nobody_waiting", "nobody is waiting"

    sale = models.ForeignKey(Sale, on_delete=models.PROTECT, related_name="releases")
    decided_at = models.DateTimeField()
    last_decided_at = models.DateTimeField()
    repeats = models.PositiveIntegerField(default=1)
    reason = models.CharField(max_length=16, choices=Reason.choices)
    size = models.PositiveIntegerField(help_text="How many were invited.")
    served_before = models.PositiveBigIntegerField()
    served_after = models.PositiveBigIntegerField()
    inputs = models.JSONField(help_text="What the decision was made from; it can be replayed.")

    class Meta:
        indexes = [models.Index(fields=["sale", "-decided_at"], name="release_newest")]

    def __str__(self) -> str:
        return f"{self.decided_at:%Y-%m-%d %H:%M:%S}: {self.get_reason_display()}, {self.size} invited"


class Invitation(models.Model):
    """The right to take part, with an allowance reserved for it. Made by `release`, moved on by `invitations`,
    credited by `deposits`. Its token is never stored, only the SHA-256 of it."""

    class State(models.TextChoices):
        OPEN = "open", "open"
        ACCEPTED = "accepted", "terms accepted"
        JOINED = "joined", "wallets entered"
        EXPIRED = "expired", "expired"
        DECLINED = "declined", "left the line"

    sale = models.ForeignKey(Sale, on_delete=models.PROTECT, related_name="invitations")
    entrant = models.OneToOneField(Entrant, on_delete=models.PROTECT, related_name="invitation")
    release = models.ForeignKey(Release, on_delete=models.PROTECT, related_name="invitations")
    nonce = models.CharField(max_length=32, editable=False)
    token_digest = models.CharField(max_length=64, unique=True, editable=False)
    state = models.CharField(max_length=8, choices=State.choices, default=State.OPEN, editable=False)
    allowance_cents = models.PositiveBigIntegerField(help_text="Reserved under the total cap until it ends.")
    credited_cents = models.PositiveBigIntegerField(default=0, editable=False)
    btc_rate = models.ForeignKey(Rate, on_delete=models.PROTECT, related_name="+")
    eth_rate = models.ForeignKey(Rate, on_delete=models.PROTECT, related_name="+")
    invited_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    terms = models.ForeignKey(Terms, on_delete=models.PROTECT, null=True, editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_from = models.GenericIPAddressField(null=True, editable=False)
    btc_wallet = models.CharField(max_length=90, blank=True, editable=False)
    eth_wallet = models.CharField(max_length=42, blank=True, editable=False)
    joined_at = models.DateTimeField(null=True, editable=False)
    pay_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(credited_cents__lte=F("allowance_cents")), name="invitation_personal_cap_holds"
            ),
        ]
        indexes = [models.Index(fields=["sale", "state", "expires_at"], name="invitation_due")]

    def __str__(self) -> str:
        return f"invitation {self.pk} ({self.state})"


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

    class Meta:
        verbose_name = "followed chain"

    def __str__(self) -> str:
        return f"{self.chain} at {self.height}"


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
