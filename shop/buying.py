"""The pages of buying: cart and checkout. They translate between HTTP and the domain, and decide nothing."""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.urls import reverse
from django.utils import timezone

from config import throttle
from config.answers import SeeOther
from config.forms import BadField, single
from config.requests import client_address, problem, too_often, wants_json
from shop import account_forms as forms
from shop import address_book, api, countries, orders, payment
from shop import cart as carts
from shop.address_book import Destination
from shop.members import BOTH, READ, SEND, members, visitors
from shop.visitors import owner_of, page, refuse_unknown, remember

logger = logging.getLogger(__name__)

_STATUS: dict[type[Exception], int] = {
    BadField: 422,
    carts.BadQuantity: 422,
    carts.CannotHold: 409,
    carts.NotSold: 404,
}
_NOTHING = "There is nothing in your cart to order. What you ordered a moment ago is among your orders."
_CHANGED = "Something has changed since you opened this page: what is in your cart, or what it costs."
_LATER_SECONDS = 600
_NEW = "new"  # in place of one of the customer's addresses
_ADDRESS_FIELDS = (*(field.name for field in forms.ADDRESS), "country")


# --- the cart ---------------------------------------------------------------------------------------------------------
def _of_the_cart(view: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """What the cart refuses is said on its page, beside what it holds."""

    @wraps(view)
    def answered(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except tuple(_STATUS) as error:
            return _refused_by_the_cart(request, _STATUS[type(error)], str(error))

    return answered


def _refused_by_the_cart(request: HttpRequest, status: int, error: str) -> HttpResponse:
    return problem(status, error) if wants_json(request) else _cart_page(request, status=status, error=error)


@visitors(READ)
def cart(request: HttpRequest) -> HttpResponse:
    return _cart_page(request)


def _cart_page(request: HttpRequest, *, status: int = 200, error: str = "") -> HttpResponse:
    contents = carts.look(owner_of(request))
    return page("cart.html", status=status, cart=contents, error=error, most=carts.MOST_OF_ONE)


@visitors(SEND)
@_of_the_cart
def add(request: HttpRequest) -> HttpResponse:
    refuse_unknown(request.POST, "product", "variant", "quantity")
    variant = _number(request.POST, "variant") if request.POST.get("variant") else None
    named = variant is not None and "product" not in request.POST
    owner, now = owner_of(request), timezone.now()
    wait = throttle.cart(client_address(request), now=now) if carts.is_new(owner) else 0
    if wait:
        return too_often(request, wait)
    owner = carts.add(
        owner=owner,
        product="" if named else single(request.POST, "product", missing="Please say which product."),
        variant=variant,
        quantity=_number(request.POST, "quantity") if "quantity" in request.POST else 1,
        now=now,
    )
    return _changed(request, owner)


@visitors(SEND)
@_of_the_cart
def update(request: HttpRequest) -> HttpResponse:
    refuse_unknown(request.POST, "variant", "quantity")
    owner = owner_of(request)
    variant, quantity = _number(request.POST, "variant"), _number(request.POST, "quantity")
    carts.change(owner=owner, variant=variant, quantity=quantity, now=timezone.now())
    return _changed(request, owner)


def _changed(request: HttpRequest, owner: carts.Owner) -> HttpResponse:
    response: HttpResponse = (
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


# --- the checkout -----------------------------------------------------------------------------------------------------
@members(BOTH)
def checkout(request: HttpRequest, customer: User) -> HttpResponse:
    if not customer.email:
        said = "Your account has no email address, so we could not write to you about an order. Please use another one."
        return _refused_by_the_cart(request, 409, said)
    if request.method == "POST":
        return _order(request, customer, timezone.now())
    contents = carts.look(owner_of(request))
    return _checkout_page(customer, contents) if contents.fits else SeeOther(reverse("shop:cart"))


def _order(request: HttpRequest, customer: User, now: datetime) -> HttpResponse:
    data = request.POST
    try:
        refuse_unknown(data, "key", "address", "card", *_ADDRESS_FIELDS)
        to = _destination(data, customer)
        key = single(data, "key", missing="This form has lost its key. Please look through it and send it again.")
        placed = orders.place(customer=customer, key=key, to=to, card=data.get("card", ""), now=now)
    except (BadField, address_book.BadAddress, orders.UnknownCard) as fault:
        return _not_yet(request, customer, fault)
    except orders.CartChanged:
        return _not_as_shown(request, customer)
    except orders.SoldOut:
        return _refused_by_the_cart(request, 409, "Somebody was faster: of something here too few are left.")
    except orders.NothingToOrder:
        return _refused_by_the_cart(request, 409, _NOTHING)
    except (orders.TooManyOpen, orders.TooOften) as error:
        return _held_back(request, error)
    except orders.OrderedAlready as error:
        return _as_it_was(request, error.number)
    if placed.placed_at == now:
        _keep(to, customer)
    return SeeOther(reverse("shop:order", args=[placed.number]))


def _held_back(request: HttpRequest, error: Exception) -> HttpResponse:
    """409 or 429: this customer has to wait, others have not."""
    if isinstance(error, orders.TooManyOpen):
        said = f"You have {settings.ORDERS_OPEN} orders that are not paid. Please pay or cancel one of them first."
        return _refused_by_the_cart(request, 409, said)
    said = f"You have ordered {settings.ORDERS_PER_HOUR} times within an hour. Please come back a little later."
    response = _refused_by_the_cart(request, 429, said)
    response["Retry-After"] = str(_LATER_SECONDS)
    return response


def _as_it_was(request: HttpRequest, number: str) -> HttpResponse:
    """The back button, another address or card, and sent again: what was ordered stands, and its page says so."""
    if wants_json(request):
        return problem(409, f"This form was sent before, and order {number} was placed as it was then.")
    return SeeOther(reverse("shop:order", args=[number], query={"form": "sent-before"}))


def _destination(data: QueryDict, customer: User) -> Destination:
    """One of the customer's addresses, or what was typed. Raises `BadField`, `BadAddress`."""
    chosen = single(data, "address", missing="Please choose where to send it.")
    if chosen == _NEW:
        return forms.destination(data)
    try:
        held = address_book.one(customer=customer, address=_number(data, "address"))
    except address_book.NotYours:
        raise BadField("Please choose one of your addresses.") from None
    return Destination(held.name, held.street, held.postcode, held.city, held.country)


def _keep(to: Destination, customer: User) -> None:
    """An address that was typed is there next time. The order is placed: whatever happens here, that is what to say."""
    try:
        _add_to_book(to, customer)
    except address_book.TooMany:
        logger.info("the address book was filled meanwhile, so the address of an order is not kept")
    except Exception:  # the order is placed, and its customer must not believe otherwise
        logger.exception("the address of an order is not kept")


def _add_to_book(to: Destination, customer: User) -> None:
    held = {(one.name, one.street, one.postcode, one.city, one.country) for one in address_book.of(customer)}
    if (to.name, to.street, to.postcode, to.city, to.country) not in held and len(held) < address_book.MOST:
        address_book.add(customer=customer, to=to)


def _not_yet(request: HttpRequest, customer: User, fault: Exception) -> HttpResponse:
    """422: the form as it was sent, and what is wrong with it."""
    said = "Please choose how to pay." if isinstance(fault, orders.UnknownCard) else str(fault)
    wrong: Mapping[str, str] = {}
    if isinstance(fault, address_book.BadAddress):
        wrong, said = fault.wrong, "Please look at the address again."
    if wants_json(request):
        return problem(422, said, errors=dict(wrong))
    contents = carts.look(owner_of(request))
    if not contents.fits:  # ordered or emptied elsewhere: a checkout of nothing could only be sent in vain
        return _refused_by_the_cart(request, 409, _CHANGED if contents.lines else _NOTHING)
    return _checkout_page(customer, contents, status=422, error=said, data=request.POST, wrong=wrong)


def _not_as_shown(request: HttpRequest, customer: User) -> HttpResponse:
    """409: what is in the cart, or its price, has changed since the checkout was shown."""
    contents = carts.look(owner_of(request))
    if wants_json(request) or not contents.fits:
        return _refused_by_the_cart(request, 409, _CHANGED)
    error = f"{_CHANGED} Please look through it and order again."
    return _checkout_page(customer, contents, status=409, error=error, data=request.POST)


def _checkout_page(
    customer: User,
    contents: carts.Contents,
    *,
    status: int = 200,
    error: str = "",
    data: QueryDict | None = None,
    wrong: Mapping[str, str] | None = None,
) -> HttpResponse:
    held = address_book.of(customer)
    data, wrong = data or QueryDict(), wrong or {}
    fields = forms.typed(forms.ADDRESS, data) if wrong else forms.ADDRESS
    return page(
        "checkout.html",
        status=status,
        cart=contents,
        key=orders.key_for(customer=customer.pk, contents=contents),
        error=error,
        addresses=held,
        chosen=data.get("address") or (str(held[0].pk) if held else _NEW),
        fields=forms.blamed(fields, wrong),
        countries=countries.NAMES,
        country=data.get("country", ""),
        country_error=wrong.get("country", ""),
        cards=payment.CARDS,
        card=data.get("card", "") or next(iter(payment.CARDS)),
    )
