"""What every request gets: an id, and for JSON clients an error they can read (RFC 9457)."""

import json
import logging
import os
import re
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import ip_address

from django.conf import settings
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from config import logging as log_lines
from config.faults import words

GetResponse = Callable[[HttpRequest], HttpResponse]
logger = logging.getLogger(__name__)

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
RETRY_AFTER_SECONDS = 5


def client_address(request: HttpRequest) -> str | None:
    """The address of the client. `X-Forwarded-For` counts only from our own proxies, read from the right: whatever
    stands left of the first address that is not ours was written by the client."""
    address = _ip(request.META.get("REMOTE_ADDR", ""))
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    while address in settings.TRUSTED_PROXIES and hops:
        hop = _ip(hops.pop())
        if hop is None:
            break  # no proxy of ours writes this; the last address that one did write stands
        address = hop
    return address


def is_internal(request: HttpRequest) -> bool:
    """Whether it comes from our own networks. What a proxy passes on that is not known as ours does not: the address
    would be the proxy's, and the client may be anybody."""
    peer = _ip(request.META.get("REMOTE_ADDR", ""))
    if "HTTP_X_FORWARDED_FOR" in request.META and peer not in settings.TRUSTED_PROXIES:
        return False
    address = client_address(request)
    return address is not None and any(ip_address(address) in network for network in settings.INTERNAL_NETWORKS)


def _ip(text: str) -> str | None:
    try:
        return str(ip_address(text.strip()))
    except ValueError:
        return None


class RequestIdMiddleware:
    """Gives each request an id, or keeps the one the proxy in front gave it, and says it in the answer."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")  # `headers` would copy all of them
        request_id = given if _SAFE_ID.fullmatch(given) else os.urandom(16).hex()
        begun = log_lines.begin(request_id)
        try:
            response = self.get_response(request)
        finally:
            log_lines.end(begun)
        response["X-Request-ID"] = request_id
        return response


class HeadMiddleware:
    """Answers HEAD with the headers of the GET and no body: gunicorn would drop the body, and complain in the log."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.method == "HEAD" and not response.streaming:
            response.headers.setdefault("Content-Length", str(len(response.content)))
            response.content = b""
        return response


class BodyLimitMiddleware:
    """Refuses a body that is larger than any honest one before a byte of it is read, uploaded files included, and one
    whose length is not said: a WSGI application could only take it for empty."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            return explain(request, 411)
        if int(request.META.get("CONTENT_LENGTH") or 0) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return explain(request, 413)
        return self.get_response(request)


def no_database(request: HttpRequest, error: Error) -> HttpResponse:
    """503: whatever the database refused may work in a moment. The log says in words what it was."""
    logger.error("the database did not answer: %s", words(error), exc_info=error)
    return busy(request)


def busy(request: HttpRequest) -> HttpResponse:
    """503, and when to come again."""
    response = explain(request, 503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def too_often(request: HttpRequest, seconds: int) -> HttpResponse:
    """429, and after how many seconds it is allowed again."""
    response = explain(request, 429)
    response["Retry-After"] = str(seconds)
    return response


def problem(status: int, detail: str, **members: object) -> HttpResponse:
    """An `application/problem+json` answer: type, title, status, detail, and whatever else the caller names."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    response = HttpResponse(json.dumps(body), status=status, content_type="application/problem+json")
    response["Cache-Control"] = "no-store"
    return response


def wants_json(request: HttpRequest) -> bool:
    """True for the API's addresses, for a client that sends JSON, and for one that accepts JSON and not a page."""
    if request.path.startswith("/api/") or request.content_type == "application/json":
        return True
    accept = request.headers.get("Accept", "")
    return "application/json" in accept and "text/html" not in accept


class ProblemMiddleware:
    """Turns every error into a page or a problem document, and never into a traceback."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code >= 400 and _is_bare(response, request):
            explained = explain(request, response.status_code)
            for name in ("Allow", "Retry-After"):
                if name in response:
                    explained[name] = response[name]
            return explained
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if isinstance(exception, RequestDataTooBig):
            return explain(request, 413)
        if isinstance(exception, Error):
            return no_database(request, exception)
        if isinstance(exception, (Http404, PermissionDenied, BadRequest, SuspiciousOperation)):
            told = isinstance(exception, (Http404, PermissionDenied)) and exception.args
            return explain(request, _STATUS_OF[_kind(exception)], str(exception) if told else "")
        return None


_STATUS_OF: dict[type[Exception], int] = {
    Http404: 404,
    PermissionDenied: 403,
    BadRequest: 400,
    SuspiciousOperation: 400,
}
_DETAILS = {
    400: "The request could not be understood.",
    403: "This form was sent from another site, so it was not taken.",
    404: "There is nothing at this address.",
    405: "This address does not take requests of this kind.",
    411: "Please send the length of the request's body (Content-Length).",
    413: "The request is larger than anything this application expects.",
    429: "That was too often. Please wait a moment.",
    500: "Something went wrong here. It has been noted.",
    503: "The service cannot take this right now. Please try again in a few seconds.",
}


def _kind(exception: Exception) -> type[Exception]:
    return next(kind for kind in _STATUS_OF if isinstance(exception, kind))


def _is_bare(response: HttpResponse, request: HttpRequest) -> bool:
    """An answer without a page of its own: empty (405), or Django's page given to a client that wants JSON."""
    if response.streaming:
        return False
    if wants_json(request):
        return not response.headers.get("Content-Type", "").endswith("json")
    return not response.content


def _error_page(path: str) -> str:
    """An application's own, where it has one for its addresses."""
    return next((page for prefix, page in settings.ERROR_PAGES if path.startswith(prefix)), "error.html")


def explain(request: HttpRequest, status: int, detail: str = "") -> HttpResponse:
    """The error as a problem document or as a real page, by what the client wants."""
    detail = detail or _DETAILS.get(status) or HTTPStatus(status).phrase
    if wants_json(request):
        return problem(status, detail)
    context = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    response = render(request, _error_page(request.path), context, status=status)
    response["Cache-Control"] = "no-store"
    return response
