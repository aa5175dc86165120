"""Who sends a request to one of the private addresses: a customer who is logged in, or a guest with a cart's cookie."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.loader import render_to_string
from django.urls import reverse

from config import database
from config.answers import SeeOther, private
from config.forms import BadField
from config.requests import problem, wants_json
from shop import cart

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
CustomersView = Callable[Concatenate[HttpRequest, User, P], HttpResponse]


def owner_of(request: HttpRequest) -> cart.Owner:
    """Whose cart this request is about. Who sends no cookie costs no query."""
    if request.user.is_authenticated:
        return cart.Owner(customer=request.user.pk)
    owner = cart.Owner(guest=cart.guest_of(request.COOKIES.get(cart.COOKIE)))
    database.reading_as(*_name(owner))
    return owner


def remember(response: HttpResponse, owner: cart.Owner) -> None:
    """Give a guest the cookie that names the cart. After a write alone: what only reads sets none."""
    database.wrote(*_name(owner))
    if owner.guest is not None:
        response.set_cookie(
            cart.COOKIE,
            cart.cookie_of(owner.guest),
            max_age=cart.GUEST_DAYS * 24 * 3600,
            secure=settings.SECURE_COOKIES,
            httponly=True,
            samesite="Lax",
        )


def _name(owner: cart.Owner) -> list[str]:
    return [] if owner.guest is None else [f"cart:{owner.guest}"]


def customers_only(view: CustomersView[P]) -> View[P]:
    """The view gets the customer. Whoever is not logged in is led there and back; a client that wants JSON gets 401."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, request.user, *args, **kwargs)
        if wants_json(request):
            return problem(401, "Please log in first.")
        back = request.path if request.method in ("GET", "HEAD") else reverse("shop:cart")
        return private(SeeOther(f"{reverse('shop:login')}?{urlencode({'next': back})}"))

    return cast("View[P]", guarded)


def page(template: str, *, status: int = 200, **context: object) -> HttpResponse:
    """One visitor's own page, which no cache keeps. Rendered without the request: all it shows was handed to it."""
    return private(HttpResponse(render_to_string(f"shop/buying/{template}", context), status=status))


def refuse_unknown(data: QueryDict, *known: str) -> None:
    """Raises `BadField` for a field that the form does not have: who sends a price must not believe it counts."""
    unknown = sorted(set(data) - {*known, "csrfmiddlewaretoken"})
    if unknown:
        said = "".join(character for character in unknown[0][:40] if character.isprintable())
        raise BadField(f"There is no field {said} here, only {', '.join(known)}. Prices come from the catalogue.")
