"""The JSON endpoints. They translate between HTTP and the domain, and decide nothing."""

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from config import throttle
from config.emails import InvalidEmail
from config.forms import BadField, single
from config.origin import read_only, same_origin
from config.requests import client_address, problem, wants_json
from ico import board, deposits, invitations, sales, waitlist
from ico.tickets import UnknownTicket

__all__ = ["board_api", "payment", "position", "signup", "wants_json"]

Endpoint = Callable[..., HttpResponse]

# What the domain may answer instead of a result, as statuses. The message of the error is the detail.
_PROBLEMS: dict[type[Exception], int] = {
    UnknownTicket: 404,
    waitlist.NotTheHolder: 403,
    waitlist.LineClosed: 409,
    invitations.AlreadyJoined: 409,
    invitations.UnknownInvitation: 404,
    invitations.InvitationEnded: 410,
    sales.NoSale: 503,
}


def _endpoint(view: Endpoint) -> Endpoint:
    """Answers a named error of the domain as a problem document, and keeps private answers out of every cache."""

    @wraps(view)
    def answered(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except tuple(_PROBLEMS) as error:
            response = problem(_PROBLEMS[type(error)], _sentence(error))
            if response.status_code == 503:
                response["Retry-After"] = "5"
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response

    return csrf_exempt(answered)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


@same_origin
@_endpoint
def signup(request: HttpRequest) -> HttpResponse:
    """POST /signup/ of a client that wants JSON. The HTML form is `views.signup`."""
    wait = throttle.signup(client_address(request), now=timezone.now())
    if wait:
        response = problem(429, "Too many signups from this address. Please wait a moment.")
        response["Retry-After"] = str(wait)
        return response
    try:
        email = _email_of(request)
    except BadField as error:
        return invalid({"email": str(error)})
    except ValueError as error:
        return problem(400, str(error))
    if not isinstance(email, str):
        return invalid({"email": "The field email is missing or is not text."})
    try:
        place = waitlist.join(email=email, client_address=client_address(request), now=timezone.now())
    except InvalidEmail as error:
        return invalid({"email": str(error)})
    url = reverse("ico:position_api", args=[place.ticket])
    return JsonResponse({"ticket": place.ticket, "number": place.number, "position_url": url}, status=202)


def invalid(errors: dict[str, str]) -> HttpResponse:
    """422 with each field's fault; `field` is the first of them."""
    field, message = next(iter(errors.items()))
    return problem(422, message, field=field, errors=errors)


def step_due(due: str) -> HttpResponse:
    """409 for a step that is not the one that is due."""
    return problem(409, f"The step that is due is {due}.", due=due)


def _email_of(request: HttpRequest) -> object:
    """The email of a form or of a JSON body. Raises `ValueError` for a body that is neither."""
    if request.content_type != "application/json":
        return single(request.POST, "email", missing="The field email is missing.")
    try:
        body: Any = json.loads(request.body, object_pairs_hook=_without_repetition)
    except BadField:
        raise
    except (ValueError, RecursionError):
        raise ValueError("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise ValueError('The body must be a JSON object like {"email": "you@example.org"}.')
    return body.get("email")


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise BadField("A field was sent more than once. Please send each once.")
    return dict(pairs)


@require_http_methods(["GET", "HEAD", "DELETE"])
@same_origin
@_endpoint
def position(request: HttpRequest, ticket: str) -> HttpResponse:
    """GET: where this ticket stands. DELETE: leave the line."""
    if request.method == "DELETE":
        waitlist.leave(ticket)
        return HttpResponse(status=204)
    standing = waitlist.look_up(ticket)
    return JsonResponse({**asdict(standing), "as_of": standing.as_of.isoformat()})


@read_only
@_endpoint
def board_api(request: HttpRequest) -> HttpResponse:
    """The serving board: the same bytes for everybody."""
    response = HttpResponse(board.current(sales.current().pk).raw, content_type="application/json")
    response["Cache-Control"] = "public, max-age=1, stale-while-revalidate=10"
    return response


@read_only
@_endpoint
def payment(request: HttpRequest, token: str) -> HttpResponse:
    """How far the participant's payment is; 409 while a step before it is due."""
    now = timezone.now()
    invitation = invitations.find(token, now=now)
    due = invitations.due_step(invitation)
    if due != "payment":
        return step_due(due)
    return JsonResponse(deposits.status(invitation, now=now).as_json())
