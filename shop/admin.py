"""What operators see and change of the shop. Whatever is changed goes through the domain, which tells who shows it."""

import re
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from config.answers import SeeOther
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

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """What the domain refuses, for what came in between, leaves all as it is; the form is shown as it is now."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except (catalogue.BadValue, catalogue.NotThere) as error:
            self.message_user(request, f"Nothing was changed: {error}", messages.ERROR)
            return SeeOther(request.get_full_path())


class AsShownForm(AnyForm):
    """Changed is what differs from what the page showed. The row may differ by now as well: somebody bought, another
    operator was faster."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        """What was left alone is as the row has it, for whatever looks at the whole row."""
        for name in set(self.fields) - set(self.changed_data):
            self.cleaned_data[name] = getattr(self.instance, name)
            self.errors.pop(name, None)
        return self.cleaned_data


class CategoryForm(AsShownForm):
    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if not name.isprintable():
            raise forms.ValidationError("A name has no line breaks and no control characters.")
        return name


@admin.register(Category)
class CategoryAdmin(Edited):
    form = CategoryForm
    list_display = ("name", "slug", "position")
    fields = ("name", "slug", "position")
    readonly_fields = ("slug", "position")

    def save_model(self, request: HttpRequest, obj: Category, form: Any, change: bool) -> None:
        if "name" in form.changed_data:
            catalogue.rename_category(category_id=obj.pk, name=form.cleaned_data["name"])


class ProductForm(AsShownForm):
    was_cents = forms.IntegerField(required=False, help_text="The price before, of a deal; empty for none.")

    def clean_was_cents(self) -> int | None:
        was: int | None = self.cleaned_data["was_cents"]
        today = self.instance.price_cents
        if was is not None and not today < was <= catalogue.MOST_CENTS:
            raise forms.ValidationError(
                f"It was higher than today's {price(today)}, and {price(catalogue.MOST_CENTS)} at most; else leave it"
                " empty."
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
        if words := {name: new[name] for name in ("title", "description") if name in changed}:
            catalogue.describe(product_id=obj.pk, **words)
        if "was_cents" in changed:
            catalogue.set_deal(product_id=obj.pk, was_cents=new["was_cents"])
        if "active" in changed:
            (catalogue.bring_back if new["active"] else catalogue.withdraw)(product_id=obj.pk)


class VariantForm(AsShownForm):
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
        if self.shown_stock is None:
            raise forms.ValidationError("The form does not say how many it showed. Please open it anew.")
        return stock

    @property
    def shown_stock(self) -> int | None:
        said = str(self.data.get(self.add_initial_prefix("stock"), ""))
        return int(said) if re.fullmatch(r"[0-9]{1,12}", said) else None


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
        """All of it or nothing: what somebody bought meanwhile may refuse the stock."""
        new, changed = form.cleaned_data, set(form.changed_data)
        if "price_cents" in changed:
            catalogue.set_price(variant_id=obj.pk, price_cents=new["price_cents"])
        if "stock" in changed:
            catalogue.set_stock(variant_id=obj.pk, stock=new["stock"], shown=form.shown_stock)


@admin.register(Event)
class EventAdmin(AnyAdmin):
    list_display = ("title", "starts_at", "ends_at", "members_only")
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
