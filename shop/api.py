"""The shop's JSON."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from shop import cart as carts
from shop.members import visitors
from shop.search_api import search, suggest
from shop.visitors import owner_of

__all__ = ["cart", "search", "suggest", "summary"]


@visitors()
def cart(request: HttpRequest) -> HttpResponse:
    """What a page that is the same for everybody cannot know: the cart's badge, and whether somebody is logged in."""
    owner = owner_of(request)
    return JsonResponse(summary(carts.look(owner), signed_in=owner.customer is not None))


def summary(contents: carts.Contents, *, signed_in: bool) -> dict[str, object]:
    return {
        "count": contents.count,
        "total_cents": contents.total_cents,
        "currency": settings.SHOP_CURRENCY,
        "signed_in": signed_in,
    }
