"""Cart, checkout and orders."""

from django.http import Http404, HttpRequest, HttpResponse


def cart(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def add(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def update(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def checkout(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def orders(request: HttpRequest) -> HttpResponse:
    raise Http404("not here yet")


def order(request: HttpRequest, number: str) -> HttpResponse:
    raise Http404("not here yet")


def pay(request: HttpRequest, number: str) -> HttpResponse:
    raise Http404("not here yet")


def cancel(request: HttpRequest, number: str) -> HttpResponse:
    raise Http404("not here yet")
