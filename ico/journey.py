"""The pages of the invited: terms, wallets, payment. They translate between HTTP and the domain, and decide nothing."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from config.answers import SeeOther, private
from config.forms import BadField, shown_again, single
from config.origin import read_only, same_origin
from config.requests import client_address, explain, wants_json
from ico import api, deposits, invitations, qr
from ico import terms as terms_of_sale
from ico.models import Chain, Invitation
from ico.pages import page
from ico.wallets import InvalidWallets

_WALLET_FIELDS = (
    ("btc_address", "Bitcoin address", "Starts with bc1, 1 or 3."),
    ("eth_address", "Ethereum address", "0x and 40 characters; capitals are checked."),
)
_STEPS = {"terms": "ico:terms", "wallet": "ico:wallet", "payment": "ico:payment"}
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
            response = page("ended.html", sale=ended.invitation.sale, invitation=ended.invitation, status=410)
        except invitations.StepOutOfOrder as error:
            response = api.step_due(error.due) if wants_json(request) else _to_step(token, error.due)
        except terms_of_sale.NoTerms:
            response = explain(request, 503, "The terms of this sale are not published yet. Please try again later.")
        return private(response)

    return found


def _to_step(token: str, step: str) -> HttpResponse:
    return SeeOther(reverse(_STEPS[step], args=[token]))


def _must_be_due(invitation: Invitation, step: invitations.Step) -> None:
    due = invitations.due_step(invitation)
    if due != step:
        raise invitations.StepOutOfOrder(due)


@read_only
@_invited
def terms(request: HttpRequest, token: str, invitation: Invitation, now: datetime) -> HttpResponse:
    _must_be_due(invitation, "terms")
    return _terms(token, invitation)


def _terms(token: str, invitation: Invitation, **context: Any) -> HttpResponse:
    current = terms_of_sale.current()
    return page("terms.html", sale=invitation.sale, token=token, invitation=invitation, terms=current, **context)


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
        if wants_json(request):
            return api.invalid({"accept": str(error)})
        return _terms(token, invitation, status=422, error=str(error))
    current = terms_of_sale.current()
    if request.POST.get("version", current.version) != current.version:
        return _terms(token, invitation, status=409, changed=True)
    client = client_address(request)
    invitations.accept_terms(invitation=invitation, client_address=client, now=now, version=current)
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
    if wants_json(request):
        return api.invalid(errors)
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
    return page("wallet.html", sale=invitation.sale, status=status, **context)


@read_only
@_invited
def payment(request: HttpRequest, token: str, invitation: Invitation, now: datetime) -> HttpResponse:
    _must_be_due(invitation, "payment")
    found = deposits.status(invitation, now=now)
    status = found.as_json()
    ways = [
        {
            **deposit,
            "coin": Chain(deposit["chain"]).label,
            "qr": qr.svg(deposit["chain"], deposit["address"]),
            "depth": _depth(deposit),
            "open": deposit["confirmations"] > 0 and deposit["seen"] != deposit["confirmed"],
        }
        for deposit in status["deposits"]
    ]
    return page(
        "payment.html",
        sale=invitation.sale,
        token=token,
        invitation=invitation,
        payment=status,
        ways=ways,
        filled=invitation.credited_cents >= invitation.allowance_cents,
        unseen=" and ".join(Chain(chain).label for chain in found.unseen),
        as_of=found.as_of,
        now=now,
        poll_seconds=settings.POLL_SECONDS,
    )


def _depth(deposit: dict[str, Any]) -> int:
    """Confirmations that matter: of many more than are needed nobody wants to know."""
    there, required = deposit["confirmations"], deposit["required"]
    return int(there if deposit["final"] == "finalized" else min(there, required))
