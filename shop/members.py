"""Pages of one visitor: kept by no cache, forms taken from our own pages only, and for members an invitation to log in.

No CSRF token: it would need a cookie on the public pages whose forms lead here. Where a form comes from is what guards
it, as in the sale (`config.origin`).
"""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Concatenate, ParamSpec, cast
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from config.answers import SeeOther
from config.origin import same_origin
from config.requests import problem, wants_json

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
Guarded = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
MembersView = Callable[Concatenate[HttpRequest, User, P], HttpResponse]

READ, SEND, BOTH = ("GET", "HEAD"), ("POST",), ("GET", "HEAD", "POST")
_LONGEST_WAY = 500


def visitors(methods: Collection[str] = READ) -> Callable[[View[P]], Guarded[P]]:
    """A page of one visitor, who may be a guest. Other methods are answered 405, forms of other sites 403."""

    def guarded(view: View[P]) -> Guarded[P]:
        @wraps(view)
        def own(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            response = view(request, *args, **kwargs)
            response["Cache-Control"] = "private, no-store"
            return response

        return same_origin(cast("View[P]", require_http_methods(list(methods))(own)))

    return guarded


def members(methods: Collection[str] = READ, *, back: str = "") -> Callable[[MembersView[P]], Guarded[P]]:
    """A page of a customer who is logged in, as the view's second argument. Others are led to the login and back, or
    told so as JSON (401). `back`: the name of the page whose form leads here, if there is nothing to see here."""

    def guarded(view: MembersView[P]) -> Guarded[P]:
        @wraps(view)
        def known(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            customer = request.user
            if not customer.is_authenticated:
                return _asked_to_log_in(request, reverse(back, kwargs=kwargs) if back else request.path)
            return view(request, customer, *args, **kwargs)

        return visitors(methods)(cast("View[P]", known))  # `wraps` hides that the shape is the same

    return guarded


def _asked_to_log_in(request: HttpRequest, page: str) -> HttpResponse:
    login = reverse("shop:login")
    if wants_json(request):
        response = problem(401, "Please log in first.")
        response["WWW-Authenticate"] = f'Cookie realm="shop", form-action="{login}"'  # a 401 must name a way
        return response
    way = request.get_full_path() if request.method in READ else page
    return SeeOther(f"{login}?{urlencode({'next': way})}" if own_way(way, "") else login)


def own_way(wanted: str, otherwise: str) -> str:
    """`wanted` if it is a path of ours, for a browser to be led to after a form; else `otherwise`."""
    ours = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if ours and len(wanted) <= _LONGEST_WAY else otherwise
