"""Whose cart a request is about: a customer's who is logged in, or a guest's with a cookie that names it. And what the
pages of buying have in common."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template.loader import render_to_string

from config import database
from config.forms import BadField
from shop import cart


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


def page(template: str, *, status: int = 200, **context: object) -> HttpResponse:
    """Rendered without the request: all that it shows was handed to it."""
    return HttpResponse(render_to_string(f"shop/buying/{template}", context), status=status)


def refuse_unknown(data: QueryDict, *known: str) -> None:
    """Raises `BadField` for a field that the form does not have: who sends a price must not believe it counts."""
    unknown = sorted(set(data) - {*known, "csrfmiddlewaretoken"})
    if unknown:
        said = "".join(character for character in unknown[0][:40] if character.isprintable())
        raise BadField(f"There is no field {said} here, only {', '.join(known)}. Prices come from the catalogue.")
