"""What the operator sees of the money: deposits, ledger and rates, of which new ones can be recorded."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from config.record_admin import RecordAdmin
from ico import caps
from ico.amounts import in_coins
from ico.models import Deposit, LedgerEntry, Rate

if TYPE_CHECKING:  # generic for the type checker only
    AnyRateForm = forms.ModelForm[Rate]
else:
    AnyRateForm = forms.ModelForm


class OwedBack(admin.SimpleListFilter):
    title = "owed back"
    parameter_name = "owed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "something"), ("no", "nothing")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Deposit]) -> QuerySet[Deposit]:
        if self.value() == "yes":  # the state is in an index
            return queryset.filter(state=Deposit.State.REVIEW, owed_back__gt=0)
        return queryset.filter(owed_back=0) if self.value() == "no" else queryset


@admin.register(Deposit)
class DepositAdmin(RecordAdmin):
    list_display = ("first_seen_at", "chain", "txid", "coins", "state", "review", "owed", "address")
    list_filter = ("state", "review", OwedBack, "chain")
    list_select_related = ("address",)
    search_fields = ("txid__exact", "address__address__exact")
    search_help_text = "A transaction id or a deposit address, whole"
    ordering = ("-pk",)

    @admin.display(description="amount")
    def coins(self, deposit: Deposit) -> str:
        return f"{in_coins(int(deposit.amount), deposit.chain)} {deposit.chain}"

    @admin.display(description="owed back")
    def owed(self, deposit: Deposit) -> str:
        return f"{in_coins(int(deposit.owed_back), deposit.chain)} {deposit.chain}" if deposit.owed_back else ""


@admin.register(LedgerEntry)
class LedgerEntryAdmin(RecordAdmin):
    list_display = ("booked_at", "cents", "deposit", "invitation")
    list_select_related = ("deposit", "invitation")
    ordering = ("-pk",)


class RateForm(AnyRateForm):
    worth = forms.CharField(max_length=20, help_text="Of one coin in the sale's currency, like 3500.00.")
    even_so = forms.BooleanField(required=False, help_text="Record it though it is far from the last one.")

    class Meta:
        model = Rate
        fields = ("chain", "source")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if not self.errors:
            try:
                given["cents"] = caps.cents_from(given["worth"])
                caps.refuse_nonsense(chain=given["chain"], cents_per_coin=given["cents"], source=given["source"])
                if not given["even_so"]:
                    caps.refuse_leap(chain=given["chain"], cents_per_coin=given["cents"])
            except caps.BadRate as error:
                self.add_error(None, str(error))
        return given


@admin.register(Rate)
class RateAdmin(RecordAdmin):
    """A rate can be added, and is then for ever: invitations refer to it."""

    list_display = ("observed_at", "chain", "worth", "source")
    list_filter = ("chain",)
    ordering = ("-observed_at",)

    @admin.display(description="worth of one coin")
    def worth(self, rate: Rate) -> str:
        return f"{rate.cents_per_coin // 100:,}.{rate.cents_per_coin % 100:02d}"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("ico.add_rate"))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        return super().get_form(request, obj, change, **{**kwargs, "form": RateForm, "fields": None})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("chain", "worth", "even_so", "source") if obj is None else ("observed_at", "chain", "worth", "source")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return () if obj is None else ("observed_at", "chain", "worth", "source")

    def save_model(self, request: HttpRequest, obj: Rate, form: Any, change: bool) -> None:
        given = form.cleaned_data
        recorded = caps.record_rate(
            chain=given["chain"], cents_per_coin=given["cents"], source=given["source"], now=timezone.now()
        )
        obj.pk, obj.cents_per_coin = recorded.pk, recorded.cents_per_coin
