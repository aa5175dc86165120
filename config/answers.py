"""Answers that pages of both applications give: a redirect after a form, and the headers of a page behind a key."""

from django.http import HttpResponse, HttpResponseRedirect


class SeeOther(HttpResponseRedirect):
    status_code = 303


def private(response: HttpResponse) -> HttpResponse:
    """Kept by no cache, and its address (which is a key) told to no other site."""
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response
