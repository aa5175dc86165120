"""What operators see and change of the shop. Whatever is changed goes through the domain, which tells who shows it."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from config.mail_admin import MailAdmin
from config.record_admin import AnyAdmin, RecordAdmin
from shop import catalogue, events, outbox
from shop.models import Announcement, Category, Event, Order, OrderLine, OrderMail, Product, Variant
from shop.templatetags.prices import price

if TYPE_CHECKING:  # generic for the type checker only
    AnyForm = forms.ModelForm[Any]
    Lines = admin.TabularInline[OrderLine, Order]
else:
    AnyForm = forms.ModelForm
    Lines = admin.TabularInline


class Edited(RecordAdmin):
    """May be changed, and neither added nor deleted."""

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)


@admin.register(Category)
class CategoryAdmin(RecordAdmin):
    list_display = ("name", "slug", "position")


class ProductForm(AnyForm):
    was_cents = forms.IntegerField(required=False, help_text="The price before, of a deal; empty for none.")

    def clean_was_cents(self) -> int | None:
        was: int | None = self.cleaned_data["was_cents"]
        if was is not None and was <= self.instance.price_cents:
            raise forms.ValidationError(
                f"It was higher than today's {price(self.instance.price_cents)}; else leave it empty."
            )
        return was


@admin.register(Product)
class ProductAdmin(Edited):
    form = ProductForm
    list_display = ("title", "category", "lowest_price", "was_cents", "popularity", "active")
    list_filter = ("active", "category")
    list_select_related = ("category",)
    search_fields = ("title__istartswith", "slug__istartswith")
    search_help_text = "The beginning of a title or of an address"
    ordering = ("-pk",)
    fields = ("title", "description", "was_cents", "active", "slug", "category", "brand", "lowest_price", "popularity")
    readonly_fields = ("slug", "category", "brand", "lowest_price", "popularity")

    @admin.display(description="price")
    def lowest_price(self, product: Product) -> str:
        return price(product.price_cents)

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        """Only what was changed: the rest of the form is as old as the page."""
        new, changed = form.cleaned_data, set(form.changed_data)
        if changed & {"title", "description"}:
            catalogue.describe(product_id=obj.pk, title=new["title"], description=new["description"])
        if "was_cents" in changed:
            catalogue.set_deal(product_id=obj.pk, was_cents=new["was_cents"])
        if "active" in changed:
            (catalogue.bring_back if new["active"] else catalogue.withdraw)(product_id=obj.pk)


class VariantForm(AnyForm):
    """The limits of `catalogue`, said beside the field."""

    def clean_price_cents(self) -> int:
        cents = int(self.cleaned_data["price_cents"])
        if not 0 < cents <= catalogue.MOST_CENTS:
            raise forms.ValidationError(f"A price is between 1 and {catalogue.MOST_CENTS:,} cents.")
        return cents

    def clean_stock(self) -> int:
        stock = int(self.cleaned_data["stock"])
        if not self.instance.reserved <= stock <= catalogue.MOST_PIECES:
            raise forms.ValidationError(
                f"Between {self.instance.reserved}, which checkouts hold, and {catalogue.MOST_PIECES:,}."
            )
        return stock


@admin.register(Variant)
class VariantAdmin(Edited):
    form = VariantForm
    list_display = ("sku", "product", "size", "colour", "price_cents", "stock", "reserved", "active")
    list_select_related = ("product",)
    search_fields = ("sku__istartswith", "product__title__istartswith")
    search_help_text = "The beginning of an article's number or of a title"
    ordering = ("-pk",)
    fields = ("price_cents", "stock", "product", "sku", "size", "colour", "reserved", "active")
    readonly_fields = ("product", "sku", "size", "colour", "reserved", "active")

    def save_model(self, request: HttpRequest, obj: Variant, form: Any, change: bool) -> None:
        """What somebody bought meanwhile may refuse a stock that the form still took."""
        new, changed = form.cleaned_data, set(form.changed_data)
        try:
            if "price_cents" in changed:
                catalogue.set_price(variant_id=obj.pk, price_cents=new["price_cents"])
            if "stock" in changed:
                catalogue.set_stock(variant_id=obj.pk, stock=new["stock"])
        except catalogue.BadValue as error:
            self.message_user(request, f"Not changed: {error}", messages.ERROR)


@admin.register(Event)
class EventAdmin(AnyAdmin):
    list_display = ("title", "starts_at", "ends_at")
    raw_id_fields = ("products",)
    prepopulated_fields: ClassVar[dict[str, Any]] = {"slug": ("title",)}

    def save_model(self, request: HttpRequest, obj: Event, form: Any, change: bool) -> None:
        events.publish(obj, product_ids=[product.pk for product in form.cleaned_data["products"]])

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Done by `save_model`, in one transaction with the rest."""

    def delete_model(self, request: HttpRequest, obj: Event) -> None:
        events.remove(event_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            events.remove(event_id=pk)


@admin.register(Announcement)
class AnnouncementAdmin(AnyAdmin):
    list_display = ("text", "starts_at", "ends_at")

    def save_model(self, request: HttpRequest, obj: Announcement, form: Any, change: bool) -> None:
        events.announce(obj)

    def delete_model(self, request: HttpRequest, obj: Announcement) -> None:
        events.silence(announcement_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Announcement]) -> None:
        for pk in queryset.values_list("pk", flat=True):
            events.silence(announcement_id=pk)


class LinesOfOrder(Lines):
    model = OrderLine
    fields = readonly_fields = ("sku", "title", "quantity", "unit_cents")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Order)
class OrderAdmin(RecordAdmin):
    """To look at: what becomes of an order is decided by customers, the payment provider and the clock."""

    list_display = ("number", "state", "customer", "total", "placed_at", "reserved_until", "settled_at")
    list_filter = ("state",)
    list_select_related = ("customer",)
    search_fields = ("number__exact", "email__istartswith")
    search_help_text = "An order's number, or the beginning of an email address"
    ordering = ("-pk",)
    exclude = ("key",)
    inlines = (LinesOfOrder,)

    @admin.display(description="total")
    def total(self, order: Order) -> str:
        return price(order.total_cents)


@admin.register(OrderMail)
class OrderMailAdmin(MailAdmin):
    kept = outbox.OUTBOX
    list_display = ("key", "kind", "order", "state", "attempts", "due_at", "sent_at", "last_error")
    list_select_related = ("order",)
    search_fields = ("order__number__exact", "order__email__istartswith")
