"""What changed: one row a tag, written in the transaction of the change itself, read by every process that keeps copies
of what pages show (`page_cache`, `object_cache`, `search`)."""

from collections.abc import Iterable

from shop.models import Change

HOME = "home"
DEALS = "deals"
EVENTS = "events"
ANNOUNCEMENTS = "announcements"


def product(pk: int) -> str:
    return f"product:{pk}"


def category(pk: int) -> str:
    return f"category:{pk}"


def event(pk: int) -> str:
    return f"event:{pk}"


def tell(tags: Iterable[str]) -> None:
    """What bears one of these tags is no longer true once the caller's transaction is committed."""
    Change.objects.bulk_create([Change(tag=tag) for tag in sorted(set(tags))], batch_size=1_000)
