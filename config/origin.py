"""What views need to know of a request: from which page it was sent."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def same_origin(view: View[P]) -> View[P]:
    """Refuse a POST that another site's page sends. The public pages carry no cookie, so there is no CSRF token to
    compare; every browser since 2020 says where a form comes from, and a client that is no browser says nothing."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.method not in ("GET", "HEAD", "OPTIONS") and _is_foreign(request):
            raise PermissionDenied("This form was sent from another site.")
        return view(request, *args, **kwargs)

    return cast("View[P]", csrf_exempt(guarded))  # `wraps` hides that the shape is the same


def read_only(view: View[P]) -> View[P]:
    """GET and HEAD, and 405 for all else: CSRF protection would answer 403 first, about a cookie that we do not use."""
    return csrf_exempt(require_safe(view))


def _is_foreign(request: HttpRequest) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    try:
        return origin is not None and urlsplit(origin).netloc != request.get_host()
    except ValueError:
        return True  # no browser writes an address that is none
