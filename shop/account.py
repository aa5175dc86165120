"""A customer's own pages."""

from django.http import Http404, HttpRequest, HttpResponse


def fans(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def overview(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def signup(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def login(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def logout(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def password(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def addresses(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def address(request: HttpRequest, address: int) -> HttpResponse:
    raise Http404("not here yet")
