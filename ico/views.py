"""The public pages and the line: landing, signing up, waiting, leaving. They translate between HTTP and the domain, and
decide nothing. The pages of the invited are in `journey`."""

from collections.abc import Callable
from functools import wraps

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from config import database, throttle
from config.answers import SeeOther, private
from config.emails import InvalidEmail
from config.forms import BadField, shown_again, single
from config.origin import read_only, same_origin
from config.requests import client_address, explain
from ico import api, board, invitations, sales, tickets, waitlist
from ico.models import Sale
from ico.pages import page

LANDING_MAX_AGE = 5
LANDING_WHILE_RENEWED = 10  # the edge may show an old one for so many seconds more, see docs/decisions/0015
NO_SALE_RETRY_SECONDS = 30


def _with_sale(view: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    @wraps(view)
    def found(request: HttpRequest) -> HttpResponseBase:
        try:
            return view(request)
        except sales.NoSale:
            response = HttpResponse(render_to_string("ico/no_sale.html"), status=503)
            response["Retry-After"] = str(NO_SALE_RETRY_SECONDS)
            return response

    return found


@read_only
@_with_sale
def landing(request: HttpRequest) -> HttpResponse:
    response = _landing()
    keeping = f"public, max-age={LANDING_MAX_AGE}, stale-while-revalidate={LANDING_WHILE_RENEWED}"
    response["Cache-Control"] = keeping
    return response


def _landing(*, status: int = 200, email: str = "", error: str = "") -> HttpResponse:
    sale = sales.current()
    return page("landing.html", sale=sale, status=status, board=board.current(sale.pk), email=email, error=error)


@require_POST
@same_origin
@_with_sale
def signup(request: HttpRequest) -> HttpResponseBase:
    if api.wants_json(request):
        return api.signup(request)
    client, now = client_address(request), timezone.now()
    wait = throttle.signup(client, now=now)
    if wait:
        return _too_often(request, wait)
    try:
        email = single(request.POST, "email", missing="Please enter your email address.")
        place = waitlist.join(email=email, client_address=client, now=now)
    except (BadField, InvalidEmail) as error:
        return private(_landing(status=422, email=shown_again(request.POST, "email"), error=str(error)))
    except waitlist.LineClosed:
        return private(page("closed.html", sale=sales.current(), status=409))
    return private(SeeOther(reverse("ico:line", args=[place.ticket])))


def _too_often(request: HttpRequest, wait: int) -> HttpResponse:
    unit = "second" if wait == 1 else "seconds"
    response = explain(request, 429, f"Too many signups came from your network. Please try again in {wait} {unit}.")
    response["Retry-After"] = str(wait)
    return response


@read_only
def line(request: HttpRequest, ticket: str) -> HttpResponse:
    try:
        place = waitlist.look_up(ticket)
        held = tickets.read(ticket)
    except tickets.UnknownTicket:
        raise Http404("This place in line is not known.") from None
    return private(
        page(
            "line.html",
            sale=database.surely(lambda: Sale.objects.get(pk=held.sale_id)),
            ticket=ticket,
            place=place,
            can_leave=held.kind is tickets.Kind.HOLDER,
            moving=place.state in ("placing", "waiting"),
            ahead_share=_ahead_share(place),
            refresh_seconds=max(2, round(place.poll_after_seconds)),
        )
    )


def _ahead_share(place: waitlist.Position) -> int:
    """How much of the line stands ahead, in thousandths, for the bar."""
    return 0 if not place.ahead else min(1000, round(1000 * place.ahead / max(place.waiting, place.ahead)))


@require_POST
@same_origin
def leave(request: HttpRequest, ticket: str) -> HttpResponse:
    try:
        waitlist.leave(ticket)
    except tickets.UnknownTicket:
        raise Http404("This place in line is not known.") from None
    except waitlist.NotTheHolder as error:
        return private(explain(request, 403, str(error)))
    except invitations.AlreadyJoined as error:
        return private(explain(request, 409, f"{str(error).capitalize()}."))
    return private(SeeOther(reverse("ico:line", args=[ticket])))
