"""What product pages show in an iframe."""

from django.http import Http404, HttpRequest, HttpResponse


def recommended(request: HttpRequest, product: str) -> HttpResponse:
    raise Http404("not here yet")
