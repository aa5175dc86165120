"""The catalogue's pages."""

from django.http import Http404, HttpRequest, HttpResponse


def home(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def search(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def deals(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def events(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def category(request: HttpRequest, category: str) -> HttpResponse:
    raise Http404("not here yet")


def product(request: HttpRequest, product: str) -> HttpResponse:
    raise Http404("not here yet")


def event(request: HttpRequest, event: str) -> HttpResponse:
    raise Http404("not here yet")
