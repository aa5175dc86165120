"""The pages of one visitor's own: cart, checkout, orders. They translate between HTTP and the domain, and decide
nothing."""

import re
from collections.abc import Callable
from functools import wraps

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from config.answers import SeeOther, private
from config.forms import BadField, single
from config.origin import read_only, same_origin
from config.requests import problem, wants_json
from shop import api
from shop import cart as carts
from shop.visitors import owner_of, page, refuse_unknown, remember

_STATUS: dict[type[Exception], int] = {
    BadField: 422,
    carts.BadQuantity: 422,
    carts.CannotHold: 409,
    carts.NotSold: 404,
}


def _of_the_cart(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """What the cart refuses is said on its page, beside what it holds."""

    @wraps(view)
    def answered(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except tuple(_STATUS) as error:
            status = _STATUS[type(error)]
            if wants_json(request):
                return problem(status, str(error))
            return _cart_page(request, status=status, error=str(error))

    return answered


@read_only
def cart(request: HttpRequest) -> HttpResponse:
    return _cart_page(request)


def _cart_page(request: HttpRequest, *, status: int = 200, error: str = "") -> HttpResponse:
    contents = carts.look(owner_of(request))
    return page("cart.html", status=status, cart=contents, error=error, most=carts.MOST_OF_ONE)


@require_POST
@same_origin
@_of_the_cart
def add(request: HttpRequest) -> HttpResponse:
    refuse_unknown(request.POST, "product", "variant", "quantity")
    owner = carts.add(
        owner=owner_of(request),
        product=single(request.POST, "product", missing="Please say which product."),
        variant=_number(request.POST, "variant") if request.POST.get("variant") else None,
        quantity=_number(request.POST, "quantity") if "quantity" in request.POST else 1,
        now=timezone.now(),
    )
    return _changed(request, owner)


@require_POST
@same_origin
@_of_the_cart
def update(request: HttpRequest) -> HttpResponse:
    refuse_unknown(request.POST, "variant", "quantity")
    owner = owner_of(request)
    variant, quantity = _number(request.POST, "variant"), _number(request.POST, "quantity")
    carts.change(owner=owner, variant=variant, quantity=quantity, now=timezone.now())
    return _changed(request, owner)


def _changed(request: HttpRequest, owner: carts.Owner) -> HttpResponse:
    response = private(
        JsonResponse(api.summary(carts.look(owner), signed_in=owner.customer is not None))
        if wants_json(request)
        else SeeOther(reverse("shop:cart"))
    )
    remember(response, owner)
    return response


def _number(data: QueryDict, name: str) -> int:
    text = single(data, name, missing=f"Please give the {name} as a whole number.").strip()
    if not re.fullmatch(r"-?[0-9]{1,12}", text):
        raise BadField(f"Please give the {name} as a whole number.")
    return int(text)


def checkout(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def orders(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def order(request: HttpRequest, number: str) -> HttpResponse:
    raise Http404("not here yet")


def pay(request: HttpRequest, number: str) -> HttpResponse:
    raise Http404("not here yet")


def cancel(request: HttpRequest, number: str) -> HttpResponse:
    raise Http404("not here yet")
