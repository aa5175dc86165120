"""The shop's JSON."""

from django.http import Http404, HttpRequest, HttpResponse


def cart(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def search(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")
