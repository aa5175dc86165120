"""The sale and the people in it: the line, the releases, the invitations."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


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
