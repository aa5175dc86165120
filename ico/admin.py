"""What the operator sees and may do. Counters and records are read-only; whatever changes something calls the domain.

Lists of large tables show no total and join what they print, so that a page costs a few queries by index.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config.mail_admin import MailAdmin
from config.record_admin import AnyAdmin, RecordAdmin
from ico import money_admin as money_admin  # registers the money's tables
from ico import outbox, sales
from ico import terms as terms_of_sale
from ico.models import (
    ChainCursor,
    ChainReading,
    DepositAddress,
    Entrant,
    Invitation,
    OutboxMessage,
    Release,
    Sale,
    Terms,
)
from ico.templatetags.words import money

if TYPE_CHECKING:  # generic for the type checker only
    AnySaleForm = forms.ModelForm[Sale]
else:
    AnySaleForm = forms.ModelForm

admin.site.site_header = "Stampede"
admin.site.site_title = "Stampede"
admin.site.index_title = "The sale"


GATE_HELP = (
    "Nobody is invited while the gate is closed. It closes when the load (mean share of gas used in the last 20 blocks,"
    " 0 to 1; 0.5 is normal) or the gas price (the next block's base fee and the median tip) rises above its high mark,"
    " and opens when all that have marks have fallen below their low ones. Without a fresh reading nobody is invited."
    " The operator's panel shows what is read."
)


class SaleForm(AnySaleForm):
    def clean_total_cap_cents(self) -> int:
        cap = int(self.cleaned_data["total_cap_cents"])
        if self.instance.pk and cap < self.instance.reserved_cents:
            least = money(self.instance.reserved_cents, self.instance.currency)
            raise forms.ValidationError(f"{least} are promised or paid already; the total cap cannot be lower.")
        return cap

    def clean(self) -> dict[str, Any] | None:
        """In words what the table's constraints refuse."""
        cleaned = super().clean()
        for high, low, measure in (
            ("chain_load_high", "chain_load_low", "load"),
            ("gas_price_high_gwei", "gas_price_low_gwei", "gas price"),
        ):
            self._in_order(high, low, measure)
        return cleaned

    def _in_order(self, high: str, low: str, measure: str) -> None:
        if high in self.errors or low in self.errors:
            return
        above, below = self.cleaned_data.get(high), self.cleaned_data.get(low)
        if (above is None) != (below is None):
            self.add_error(low if below is None else high, f"The {measure} has two marks, or none.")
        elif above is not None and below is not None and not 0 < below <= above:
            self.add_error(low, f"The {measure}'s low mark is above zero, and not above its high mark.")
        elif measure == "load" and above is not None and above > 1:
            self.add_error(high, "A load is a share from 0 to 1, and is never above 1: this mark would never hold.")


@admin.register(Sale)
class SaleAdmin(AnyAdmin):
    form = SaleForm
    list_display = ("name", "opens_at", "closes_at", "paused", "served", "last_number", "reserved", "total_cap")
    actions = ("pause", "resume")
    readonly_fields = ("served", "last_number", "reserved", "total_cap", "personal_cap", "gate_closed")
    prepopulated_fields: ClassVar[dict[str, Any]] = {"slug": ("name",)}
    fieldsets = (
        (None, {"fields": ("name", "slug", "currency", "opens_at", "closes_at", "paused")}),
        ("Caps", {"fields": ("total_cap_cents", "total_cap", "personal_cap_cents", "personal_cap", "reserved")}),
        (
            "Releases",
            {
                "fields": (
                    "batch_size",
                    "batch_interval_seconds",
                    "invitation_lifetime_seconds",
                    "served",
                    "last_number",
                )
            },
        ),
        ("Payments", {"fields": ("payment_lifetime_seconds", "minimum_deposit_cents")}),
        (
            "Gate",
            {
                "fields": (
                    ("chain_load_high", "chain_load_low"),
                    ("gas_price_high_gwei", "gas_price_low_gwei"),
                    "chain_load_max_age_seconds",
                    "gate_closed",
                ),
                "description": GATE_HELP,
            },
        ),
    )

    def save_model(self, request: HttpRequest, obj: Sale, form: Any, change: bool) -> None:
        """Only what the operator changed: the counters of the form's object are as old as the form."""
        if change:
            sales.change(sale_id=obj.pk, **{name: form.cleaned_data[name] for name in form.changed_data})
        else:
            super().save_model(request, obj, form, change)
            sales.forget()

    @admin.display(description="reserved")
    def reserved(self, sale: Sale) -> str:
        return money(sale.reserved_cents, sale.currency)

    @admin.display(description="total cap")
    def total_cap(self, sale: Sale) -> str:
        return money(sale.total_cap_cents or 0, sale.currency)

    @admin.display(description="allowance per person")
    def personal_cap(self, sale: Sale) -> str:
        return money(sale.personal_cap_cents or 0, sale.currency)

    @admin.action(description="Pause: invite nobody for now")
    def pause(self, request: HttpRequest, queryset: QuerySet[Sale]) -> None:
        changed = sales.set_paused(sale_ids=list(queryset.values_list("pk", flat=True)), paused=True)
        self.message_user(request, f"{changed} paused. The line stays open.", messages.SUCCESS)

    @admin.action(description="Resume: go on inviting")
    def resume(self, request: HttpRequest, queryset: QuerySet[Sale]) -> None:
        changed = sales.set_paused(sale_ids=list(queryset.values_list("pk", flat=True)), paused=False)
        self.message_user(request, f"{changed} resumed.", messages.SUCCESS)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


@admin.register(Entrant)
class EntrantAdmin(RecordAdmin):
    list_display = ("number", "email", "state", "signed_up_at", "client_address")
    list_display_links = ("number", "email")
    list_filter = ("state",)
    search_fields = ("email__istartswith",)
    search_help_text = "The beginning of an email address"
    ordering = ("-pk",)
    fields = ("sale", "number", "email", "state", "signed_up_at", "client_address")


@admin.register(Release)
class ReleaseAdmin(RecordAdmin):
    list_display = ("decided_at", "last_decided_at", "reason", "size", "served_before", "served_after", "repeats")
    list_filter = ("reason",)
    ordering = ("-decided_at",)


@admin.register(Invitation)
class InvitationAdmin(RecordAdmin):
    """Neither token nor nonce is shown: with them an operator could act as the invited person."""

    list_display = ("pk", "entrant", "state", "allowance", "credited", "invited_at", "expires_at", "pay_until")
    list_filter = ("state",)
    list_select_related = ("entrant", "sale")
    search_fields = ("entrant__email__istartswith",)
    search_help_text = "The beginning of an email address"
    ordering = ("-pk",)
    exclude = ("nonce", "token_digest")

    @admin.display(description="allowance")
    def allowance(self, invitation: Invitation) -> str:
        return money(invitation.allowance_cents, invitation.sale.currency)

    @admin.display(description="credited")
    def credited(self, invitation: Invitation) -> str:
        return money(invitation.credited_cents, invitation.sale.currency)


@admin.register(OutboxMessage)
class OutboxAdmin(MailAdmin):
    kept = outbox.OUTBOX
    list_display = ("key", "kind", "entrant", "state", "attempts", "due_at", "sent_at", "last_error")
    list_select_related = ("entrant",)
    search_fields = ("entrant__email__istartswith",)


class HandedOut(admin.SimpleListFilter):
    title = "handed out"
    parameter_name = "handed_out"

    def lookups(self, request: HttpRequest, model_admin: AnyAdmin) -> list[tuple[str, str]]:
        return [("yes", "to somebody"), ("no", "waiting")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(invitation__isnull=chosen == "no")


@admin.register(DepositAddress)
class DepositAddressAdmin(RecordAdmin):
    list_display = ("chain", "index", "address", "invitation", "issued_at")
    list_filter = ("chain", HandedOut)
    list_select_related = ("invitation",)
    search_fields = ("address__exact",)
    ordering = ("-pk",)


@admin.register(Terms)
class TermsAdmin(RecordAdmin):
    """A version can be added, and is then for ever: people have accepted it."""

    list_display = ("version", "published_at", "digest")
    ordering = ("-published_at",)
    fields = ("version", "text")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("ico.add_terms"))

    def save_model(self, request: HttpRequest, obj: Terms, form: Any, change: bool) -> None:
        obj.pk = terms_of_sale.publish(version=obj.version, text=obj.text, now=timezone.now()).pk


@admin.register(ChainCursor)
class ChainCursorAdmin(RecordAdmin):
    list_display = ("chain", "height", "tip_height", "block_hash", "followed_at", "next_index")


@admin.register(ChainReading)
class ChainReadingAdmin(RecordAdmin):
    list_display = ("chain", "load", "base_fee", "observed_at")
