"""The shortest way to a kept page: past routing and the middleware behind, with the headers that they gave it before.

A page's first answer goes the whole way. What it looked like when it came back here is remembered for its address, and
as long as that page is fresh it is answered from here. What stands before this middleware is done for every request
(id, counting, errors, limits); the host is looked at here. Only an address that is written as our links write it comes
in question, so that strange ones cost no memory.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from shop.caching.cache_counters import REFUSED
from shop.caching.cache_policy import Policy
from shop.caching.kept_pages import Kept, pages
from shop.page_cache import State, judge, respond

GetResponse = Callable[[HttpRequest], HttpResponseBase]
logger = logging.getLogger(__name__)

_ADDRESSES = 5_000
_HOSTS = 100
_OF_THE_PAGE = {"cache-control", "etag", "vary", "content-encoding", "content-length", "content-type"}


@dataclass(frozen=True, slots=True)
class Way:
    """How an address was answered: its route, and the headers that middleware adds to every such answer."""

    policy: Policy
    match: ResolverMatch
    headers: Mapping[str, str]


class FrontMiddleware:
    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        _ = pages.folder  # of the code that this process runs
        self._ways: dict[str, Way] = {}
        self._hosts: set[str] = set()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._at_once(request)
        if response is not None:
            return response
        answer = self.get_response(request)
        if answer.status_code == 304:
            del answer.headers["Content-Length"]  # of what is not sent; somebody on the way has counted it
        found = getattr(answer, "kept", None)
        return answer if found is None else self._noted(request, answer, found)

    def _at_once(self, request: HttpRequest) -> HttpResponse | None:
        """The page if it is fresh. With provenance each answer says how old it is, which is told further in."""
        meta = request.META
        query = meta.get("QUERY_STRING")
        path = request.path  # unescaped: a question mark in it begins no query
        name = f"{path}?{query}" if query else path
        way = self._ways.get(name)
        if way is None or request.method not in ("GET", "HEAD") or meta.get("HTTP_HOST", "") not in self._hosts:
            return None
        if "?" in path:
            return None
        found = pages.get(name)
        if found is None or judge(found, way.policy) is not State.FRESH:
            return None
        request.resolver_match = way.match
        response = respond(meta, found, state=State.FRESH, policy=way.policy)
        for header, value in way.headers.items():
            response.headers[header] = value
        return response

    def _noted(self, request: HttpRequest, answer: HttpResponseBase, found: Kept) -> HttpResponseBase:
        if answer.cookies or "cookie" in answer.get("Vary", "").lower():
            return _refused(request, answer, found)
        if settings.PROVENANCE or request.resolver_match is None or answer.status_code != 200:
            return answer
        if len(self._hosts) < _HOSTS:
            self._hosts.add(request.META.get("HTTP_HOST", ""))  # it was looked at on the way
        if len(self._ways) >= _ADDRESSES:
            self._ways.clear()
        said = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_THE_PAGE}
        policy: Policy = answer.policy  # type: ignore[attr-defined]
        if found.name == request.get_full_path():
            self._ways[found.name] = Way(policy, request.resolver_match, said)
        return answer


def _refused(request: HttpRequest, answer: HttpResponseBase, found: Kept) -> HttpResponseBase:
    """Something behind this made the answer one person's. Nobody else may get it, and somebody must look."""
    REFUSED.inc()
    logger.error("a kept page of %s left with a cookie or varies by one: it is not kept", found.kind)
    pages.drop(found.name)
    answer["Cache-Control"] = "private, no-store"
    return answer
