"""The invariants of the shop: its stock, its orders and carts. Its kept pages: `shop/caching/page_audit.py`."""

from collections.abc import Iterator

from django.db.models import BigIntegerField, Count, F, Q, QuerySet, Sum
from django.db.models.functions import Cast

from config.audit import Evidence, Finding, Invariant, finding
from shop import settling
from shop.caching import page_audit
from shop.models import Cart, CartLine, Charge, Order, OrderLine, OrderMail, Variant
from shop.orders import HOLDING

State = Order.State


def stock_not_oversold(evidence: Evidence) -> Finding:
    """No variant has promised more pieces than are here, and what is reserved is what the open orders hold."""
    lines = OrderLine.objects.filter(order__state__in=HOLDING)
    held = dict(lines.values_list("variant").annotate(Sum("quantity")).order_by())
    breaches, checked = [], 0
    for key, sku, stock, reserved in Variant.objects.values_list("pk", "sku", "stock", "reserved").iterator():
        checked += 1
        if reserved > stock or stock < 0 or reserved < 0:
            breaches.append(f"{sku}: {reserved} pieces are reserved of {stock}")
        if reserved != held.get(key, 0):
            breaches.append(f"{sku}: {reserved} pieces are reserved, open orders hold {held.get(key, 0)}")
    return finding(checked, breaches)


def order_sums(evidence: Evidence) -> Finding:
    """An order's total is what its lines add up to, and it has lines."""
    cost = Cast("lines__unit_cents", BigIntegerField()) * F("lines__quantity")
    wrong = Order.objects.annotate(sum=Sum(cost)).filter(Q(sum=None) | ~Q(sum=F("total_cents")))
    breaches = [
        f"order {number}: its lines cost {total or 0} cents, it says {said}"
        for number, said, total in wrong.values_list("number", "total_cents", "sum")
    ]
    return finding(Order.objects.count(), breaches)


def one_order_per_key(evidence: Evidence) -> Finding:
    """However often a button was pressed: no key has two orders, and no payment paid for two."""
    breaches = [f"{orders} orders have one key" for _, orders in _twice(Order.objects.all(), "key")]
    numbers = _twice(Order.objects.all(), "number")
    breaches += [f"{orders} orders have the number {number}" for number, orders in numbers]
    paid = Order.objects.exclude(payment_reference="")
    breaches += [f"{orders} orders were paid as {name}" for name, orders in _twice(paid, "payment_reference")]
    return finding(Order.objects.count(), breaches)


def _twice(orders: QuerySet[Order], column: str) -> Iterator[tuple[str, int]]:
    yield from orders.values_list(column).annotate(orders=Count("pk")).filter(orders__gt=1).order_by()


def payments_match(evidence: Evidence) -> Finding:
    """What a customer was charged is what they have: a paid order was charged once, its total; no other order is, but
    for a while that the provider is still to be asked in."""
    breaches = []
    charged = dict(Charge.objects.filter(state=Charge.State.ACCEPTED).values_list("key", "amount_cents"))
    rows = Order.objects.values_list("number", "payment_attempts", "state", "total_cents", "payment_due_at")
    for number, attempts, state, total, due in rows.iterator():
        keys = (settling.key_of(number=number, attempt=attempt) for attempt in range(1, attempts + 1))
        taken = [charged.pop(key) for key in keys if key in charged]
        wanted = [total] if state == State.PAID else []
        if taken != wanted and due is None:
            breaches.append(f"order {number} is {state}, and {taken} cents were charged of {total}")
    breaches += [f"charge {key} is of no order" for key in charged]
    return finding(Order.objects.count(), breaches)


def mails_match(evidence: Evidence) -> Finding:
    """Each order has one mail of what happened to it, and none of what did not."""
    Kind = OrderMail.Kind
    everyone = Order.objects.all()
    breaches = [
        *_mail_counts(Kind.PLACED, everyone, of=everyone),
        *_mail_counts(Kind.PAID, everyone.exclude(payment_reference=""), of=everyone),
        *_mail_counts(Kind.CANCELLED, everyone.filter(state__in=(State.CANCELLED, State.EXPIRED)), of=everyone),
    ]
    return finding(OrderMail.objects.count(), breaches)


def _mail_counts(kind: OrderMail.Kind, told: QuerySet[Order], *, of: QuerySet[Order]) -> Iterator[str]:
    """`told`: the orders that have one; the others of `of` have none."""
    counted = of.annotate(count=Count("mails", filter=Q(mails__kind=kind)))
    due = told.values("pk")
    wrong = counted.filter(Q(pk__in=due) & ~Q(count=1) | ~Q(pk__in=due) & ~Q(count=0))
    for number, count in wrong.values_list("number", "count"):
        yield f"order {number} has {count} mails of kind {kind.value}"


def carts_have_one_owner(evidence: Evidence) -> Finding:
    """A customer has one cart, and a cart each variant once: two tabs, and a cart that joined it, made no second."""
    owned = Cart.objects.exclude(customer=None).values_list("customer").annotate(carts=Count("pk"))
    breaches = [f"customer {who} has {carts} carts" for who, carts in owned.filter(carts__gt=1).order_by()]
    lines = CartLine.objects.values_list("cart", "variant").annotate(lines=Count("pk"))
    twice = lines.filter(lines__gt=1).order_by()
    breaches += [f"cart {cart}: {count} lines of variant {variant}" for cart, variant, count in twice]
    absurd = CartLine.objects.exclude(quantity__range=(1, 99)).values_list("cart", "quantity")
    breaches += [f"cart {cart}: {quantity} pieces in a line" for cart, quantity in absurd]
    return finding(Cart.objects.count(), breaches)


def confirmed_orders(evidence: Evidence) -> Finding:
    """Every order that was confirmed to a customer is in the books: theirs, with the total they were shown."""
    breaches: list[str] = []
    for start in range(0, len(evidence.orders), 500):
        entries = evidence.orders[start : start + 500]
        rows = Order.objects.filter(number__in={entry["number"] for entry in entries})
        booked = {number: (email, total) for number, email, total in rows.values_list("number", "email", "total_cents")}
        for entry in entries:
            said = (entry["email"], entry["total_cents"])
            if booked.get(entry["number"]) != said:
                breaches.append(
                    f"order {entry['number']} was confirmed as {said}, booked as {booked.get(entry['number'])}"
                )
    return finding(len(evidence.orders), breaches)


INVARIANTS = [
    Invariant("shop-stock", "no piece is sold twice; reserved is what open orders hold", stock_not_oversold),
    Invariant("shop-order-sums", "each order's total is what its lines add up to", order_sums),
    Invariant("shop-orders-once", "one order per key, one payment per order", one_order_per_key),
    Invariant("shop-payments", "each paid order was charged once, its total, and no other order was", payments_match),
    Invariant("shop-mails", "one mail per order of each thing that happened to it", mails_match),
    Invariant("shop-carts", "one cart per customer, each variant in it once", carts_have_one_owner),
    Invariant("shop-confirmed-orders", "every order that was confirmed to a visitor is theirs", confirmed_orders),
    *page_audit.INVARIANTS,
]
