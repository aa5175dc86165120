"""The full-page cache of the anonymous catalogue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page and what it shows: it is no longer true once something with one of these tags has changed."""

    body: str
    tags: frozenset[str]
    status: int = 200
    content_type: str = "text/html; charset=utf-8"


View = Callable[..., Page]


def kept(kind: str) -> Callable[[View], Callable[..., HttpResponse]]:
    """A view of the catalogue: it gets the known query parameters alone (`query`, by the kind's policy), never the
    request, and returns a `Page`."""

    def kept_as(view: View) -> Callable[..., HttpResponse]:
        @wraps(view)
        def answer(request: HttpRequest, **named: Any) -> HttpResponse:
            query: Mapping[str, str] = request.GET.dict()
            page = view(query=query, **named)
            return HttpResponse(page.body, status=page.status, content_type=page.content_type)

        return answer

    return kept_as
