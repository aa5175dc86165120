"""The shop in figures for Prometheus: its orders, whether their payments get through, and its search index."""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from config.cache import remembered
from config.metrics import Figure, Figures, Values
from shop.models import Order
from shop.searching import index_folder

COUNTED_SECONDS = 5.0

ORDERS = Figure("stampede_orders", "Orders by state.", ("state",))
DOCUMENTS = Figure("stampede_search_documents", "Products in the search index of this machine; 0 while there is none.")
AS_OF = Figure("stampede_search_as_of_seconds", "Until when all that changed is in the search index, as Unix time.")
WAITING = Figure("stampede_orders_waiting_seconds", "How long the oldest order whose payment is under way has waited.")


def by_state() -> dict[str, int]:
    """Also those of which there are none."""

    def counted() -> dict[str, int]:
        rows: Any = Order.objects.order_by().values_list("state").annotate(count=Count("pk"))
        return dict.fromkeys(Order.State.values, 0) | dict(rows)

    return remembered("figures:orders", seconds=COUNTED_SECONDS, make=counted)


def waiting(*, now: datetime) -> float:
    """Seconds; 0 when no payment is under way. From an index: an order's time is over so long after it was placed."""
    reserved = Order.objects.filter(state=Order.State.RESERVED).order_by("reserved_until")
    over = reserved.values_list("reserved_until", flat=True).first()
    placed = over - timedelta(seconds=settings.RESERVATION_SECONDS) if over else now
    return max(0.0, (now - placed).total_seconds())


def _read() -> Values:
    for state, count in by_state().items():
        yield ORDERS, (state,), count
    yield WAITING, (), waiting(now=timezone.now())


def _read_index() -> Values:
    """No query: files of this machine."""
    try:
        yield DOCUMENTS, (), index_folder.size()
    except index_folder.NotReady:
        yield DOCUMENTS, (), 0
    moment = index_folder.as_of()
    yield AS_OF, (), moment.timestamp() if moment else 0


FIGURES = (
    Figures("orders", (ORDERS, WAITING), _read),
    Figures("search index", (DOCUMENTS, AS_OF), _read_index),
)
