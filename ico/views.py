"""The pages of the sale. They translate between HTTP and the domain, and decide nothing.

Pages are rendered without the request: no context processor can then touch a session, so no cookie is read or set.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from config.requests import explain
from ico import api, board, deposits, invitations, qr, sales, throttle, tickets, waitlist
from ico import terms as terms_of_sale
from ico.emails import InvalidEmail
from ico.forms import BadField, shown_again, single
from ico.models import Chain, Invitation, Sale
from ico.requests import client_address, same_origin
from ico.wallets import InvalidWallets

LANDING_MAX_AGE = 5
NO_SALE_RETRY_SECONDS = 30
_WALLET_FIELDS = (
    ("btc_address", "Bitcoin address", "Starts with bc1, 1 or 3."),
    ("eth_address", "Ethereum address", "0x and 40 characters; capitals are checked."),
)
_STEPS = {"terms": "ico:terms", "wallet": "ico:wallet", "payment": "ico:payment"}


class SeeOther(HttpResponseRedirect):
    status_code = 303


def _page(template: str, *, sale: Sale, status: int = 200, **context: Any) -> HttpResponse:
    context |= {
        "sale": sale,
        "phase": _phase(sale, timezone.now()),
        "simulated": bool(settings.SIMULATED_BLOCK_SECONDS),
    }
    return HttpResponse(render_to_string(f"ico/{template}", context), status=status)


def _phase(sale: Sale, now: datetime) -> str:
    if now < sale.opens_at:
        return "before"
    return "open" if now < sale.closes_at else "closed"


def _private(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


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


# --- the line ---------------------------------------------------------------------------------------------------------
@require_safe
@_with_sale
def landing(request: HttpRequest) -> HttpResponse:
    response = _landing()
    response["Cache-Control"] = f"public, max-age={LANDING_MAX_AGE}"
    return response


def _landing(*, status: int = 200, email: str = "", error: str = "") -> HttpResponse:
    sale = sales.current()
    return _page("landing.html", sale=sale, status=status, board=board.current(sale.pk), email=email, error=error)


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
        return _private(_landing(status=422, email=shown_again(request.POST, "email"), error=str(error)))
    except waitlist.LineClosed:
        return _private(_page("closed.html", sale=sales.current(), status=409))
    return _private(SeeOther(reverse("ico:line", args=[place.ticket])))


def _too_often(request: HttpRequest, wait: int) -> HttpResponse:
    unit = "second" if wait == 1 else "seconds"
    response = explain(request, 429, f"Too many signups came from your network. Please try again in {wait} {unit}.")
    response["Retry-After"] = str(wait)
    return response


@require_safe
def line(request: HttpRequest, ticket: str) -> HttpResponse:
    try:
        place = waitlist.look_up(ticket, now=timezone.now())
        can_leave = tickets.read(ticket).kind is tickets.Kind.HOLDER
    except tickets.UnknownTicket:
        raise Http404("This place in line is not known.") from None
    return _private(
        _page(
            "line.html",
            sale=sales.current(),
            ticket=ticket,
            place=place,
            can_leave=can_leave,
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
        waitlist.leave(ticket, now=timezone.now())
    except tickets.UnknownTicket:
        raise Http404("This place in line is not known.") from None
    except waitlist.NotTheHolder as error:
        return _private(explain(request, 403, str(error)))
    except invitations.AlreadyJoined as error:
        return _private(explain(request, 409, f"{str(error).capitalize()}."))
    return _private(SeeOther(reverse("ico:line", args=[ticket])))


# --- the invited ------------------------------------------------------------------------------------------------------
Invited = Callable[[HttpRequest, str, Invitation, datetime], HttpResponse]


def _invited(view: Invited) -> Callable[[HttpRequest, str], HttpResponse]:
    """Finds the invitation of the token; an ended one is a page, a step out of order leads to the step that is due."""

    @wraps(view)
    def found(request: HttpRequest, token: str) -> HttpResponse:
        now = timezone.now()
        try:
            response = view(request, token, invitations.find(token, now=now), now)
        except invitations.UnknownInvitation:
            raise Http404("This invitation is not known.") from None
        except invitations.InvitationEnded as ended:
            response = _page("ended.html", sale=ended.invitation.sale, invitation=ended.invitation, status=410)
        except invitations.StepOutOfOrder as error:
            response = _to_step(token, error.due)
        except terms_of_sale.NoTerms:
            response = explain(request, 503, "The terms of this sale are not published yet. Please try again later.")
        return _private(response)

    return found


def _to_step(token: str, step: str) -> HttpResponse:
    return SeeOther(reverse(_STEPS[step], args=[token]))


def _must_be_due(invitation: Invitation, step: invitations.Step) -> None:
    due = invitations.due_step(invitation)
    if due != step:
        raise invitations.StepOutOfOrder(due)


@require_safe
@_invited
def terms(request: HttpRequest, token: str, invitation: Invitation, now: datetime) -> HttpResponse:
    _must_be_due(invitation, "terms")
    return _terms(token, invitation)


def _terms(token: str, invitation: Invitation, **context: Any) -> HttpResponse:
    current = terms_of_sale.current()
    return _page("terms.html", sale=invitation.sale, token=token, invitation=invitation, terms=current, **context)


@require_POST
@same_origin
@_invited
def accept(request: HttpRequest, token: str, invitation: Invitation, now: datetime) -> HttpResponse:
    _must_be_due(invitation, "terms")
    try:
        accepted = single(request.POST, "accept", missing="Please tick the box to accept the terms.")
        if accepted != "on":
            raise BadField("Please tick the box to accept the terms.")
    except BadField as error:
        return _terms(token, invitation, status=422, error=str(error))
    if request.POST.get("version", terms_of_sale.current().version) != terms_of_sale.current().version:
        return _terms(token, invitation, status=409, changed=True)
    invitations.accept_terms(invitation=invitation, client_address=client_address(request), now=now)
    return _to_step(token, "wallet")


@require_http_methods(["GET", "HEAD", "POST"])
@same_origin
@_invited
def wallet(request: HttpRequest, token: str, invitation: Invitation, now: datetime) -> HttpResponse:
    _must_be_due(invitation, "wallet")
    if request.method != "POST":
        return _wallet(token, invitation)
    given, errors = {}, {}
    for name, label, _ in _WALLET_FIELDS:
        try:
            given[name] = single(request.POST, name, missing=f"Please enter your {label.lower()}.")
        except BadField as error:
            errors[name] = str(error)
    if not errors:
        try:
            invitations.enter_wallets(invitation=invitation, now=now, **given)
            return _to_step(token, "payment")
        except InvalidWallets as error:
            errors = error.errors
    values = {name: shown_again(request.POST, name) for name, _, _ in _WALLET_FIELDS}
    return _wallet(token, invitation, status=422, values=values, errors=errors)


def _wallet(
    token: str,
    invitation: Invitation,
    *,
    status: int = 200,
    values: dict[str, str] | None = None,
    errors: dict[str, str] | None = None,
) -> HttpResponse:
    values, errors = values or {}, errors or {}
    fields = [
        {"name": name, "label": label, "hint": hint, "value": values.get(name, ""), "error": errors.get(name, "")}
        for name, label, hint in _WALLET_FIELDS
    ]
    wrong = [(name, f"your {label.lower()}") for name, label, _ in _WALLET_FIELDS if name in errors]
    context = {"token": token, "invitation": invitation, "fields": fields, "wrong": wrong}
    return _page("wallet.html", sale=invitation.sale, status=status, **context)


@require_safe
@_invited
def payment(request: HttpRequest, token: str, invitation: Invitation, now: datetime) -> HttpResponse:
    _must_be_due(invitation, "payment")
    status = deposits.status(invitation, now=now).as_json()
    ways = [
        {**deposit, "coin": Chain(deposit["chain"]).label, "qr": qr.svg(deposit["chain"], deposit["address"])}
        for deposit in status["deposits"]
    ]
    return _page(
        "payment.html",
        sale=invitation.sale,
        token=token,
        invitation=invitation,
        payment=status,
        ways=ways,
        as_of=now,
        poll_seconds=settings.POLL_SECONDS,
    )
