"""The pages of what was ordered: the list, one order, another card, cancelling."""

import re
from collections.abc import Callable
from functools import wraps

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from config.answers import SeeOther
from config.requests import explain, problem, wants_json
from shop import countries, orders, payment
from shop.members import READ, SEND, members
from shop.models import Order
from shop.visitors import page

LAST_PAGE = 1_000


@members(READ)
def order_list(request: HttpRequest, customer: User) -> HttpResponse:
    text = request.GET.get("page", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text) or int(text) > LAST_PAGE:
        raise Http404("There is no such page of your orders.")
    number = int(text)
    rows, more = orders.of(customer=customer, page=number)
    if not rows and number > 1:
        raise Http404("There is no such page of your orders.")
    return page("orders.html", orders=rows, page=number, more=more)


def _of_one_order(view: Callable[[HttpRequest, User, str], HttpResponse]) -> Callable[..., HttpResponse]:
    """404 for an order that is not the customer's, 409 with the reason for what cannot be done to it any more."""

    @wraps(view)
    def answered(request: HttpRequest, customer: User, number: str) -> HttpResponse:
        try:
            return view(request, customer, number)
        except orders.NotYours:
            raise Http404("You have no such order.") from None
        except orders.UnknownCard:
            return explain(request, 422, "Please choose how to pay.")
        except orders.TooLate as error:
            if wants_json(request):
                return problem(409, str(error))
            return _order_page(customer, number, status=409, error=str(error))

    return answered


@members(READ)
@_of_one_order
def order(request: HttpRequest, customer: User, number: str) -> HttpResponse:
    return _order_page(customer, number, changed=request.GET.get("form") == "sent-before")


def _order_page(
    customer: User, number: str, *, status: int = 200, error: str = "", changed: bool = False
) -> HttpResponse:
    one, now = orders.one(customer=customer, number=number), timezone.now()
    return page(
        "order.html",
        status=status,
        order=one,
        lines=one.lines.order_by("pk"),
        waiting=one.state == Order.State.RESERVED,
        may_pay=orders.may_pay(one, now=now),
        may_cancel=orders.may_cancel(one, now=now),
        cards=payment.CARDS,
        error=error,
        changed=changed,
        country=countries.NAMES.get(one.address.get("country", ""), ""),
    )


@members(SEND, back="shop:order")
@_of_one_order
def pay(request: HttpRequest, customer: User, number: str) -> HttpResponse:
    orders.pay_again(customer=customer, number=number, card=request.POST.get("card", ""), now=timezone.now())
    return SeeOther(reverse("shop:order", args=[number]))


@members(SEND, back="shop:order")
@_of_one_order
def cancel(request: HttpRequest, customer: User, number: str) -> HttpResponse:
    orders.cancel(customer=customer, number=number, now=timezone.now())
    return SeeOther(reverse("shop:order", args=[number]))
