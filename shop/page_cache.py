"""The full-page cache of the anonymous catalogue. Decisions: docs/decisions/0024.

    @kept("category")
    def category(*, query: Mapping[str, str], category: str) -> Page: ...

A view gets what its address says and never the request, so its page is the same for everybody. It is rendered from the
primary: a replica may not have the change for which the page is made anew. A kept page is *fresh* while nothing that
it shows has changed and it is younger than its kind's policy says; *stale* for a while after that, and then answered at
once while one renewer works; *cold* beyond, and then waited for.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial, wraps
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase

from config import database
from config.origin import read_only
from config.requests import RETRY_AFTER_SECONDS, busy, explain
from shop import changes
from shop.caching import making
from shop.caching.cache_counters import PAGE_AGE, PAGES, REFUSED, RENDERINGS
from shop.caching.cache_policy import Policy, policies
from shop.caching.freshness import freshness
from shop.caching.kept_pages import Kept, page, pages

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page and what it shows: it is no longer true once something with one of these tags has changed. Only
    one with status 200 is kept."""

    body: str
    tags: frozenset[str]
    status: int = 200
    content_type: str = "text/html; charset=utf-8"


View = Callable[..., Page]
Make = Callable[[], Page]


class NotForEverybody(Exception):
    """A page that was to be kept holds what belongs to one person."""


class PrimaryAway(Error):
    """A page that is there is not made anew."""


class State(Enum):
    FRESH = "hit"
    STALE = "stale"
    COLD = "miss"


def kept(kind: str) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """A view of the catalogue: it gets the known query parameters alone (`query`, by the kind's policy), never the
    request, and returns a `Page`."""
    policy = policies()[kind]

    def kept_as(view: View) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, **named: Any) -> HttpResponse:
            query = known(request, policy)
            try:
                found, state = find(
                    name_of(request.path, query), policy=policy, make=partial(view, query=query, **named)
                )
            except making.TakesTooLong:
                return busy(request)
            except Http404 as nothing:
                return _absent(request, nothing, policy)
            if isinstance(found, Page):
                return _unkept(found)
            return respond(request.META, found, state=state, policy=policy)

        return read_only(answer)

    return kept_as


def known(request: HttpRequest, policy: Policy) -> dict[str, str]:
    """The parameters that this kind of page knows and that say something, in the order of their names."""
    if not request.META.get("QUERY_STRING"):
        return {}
    said = request.GET
    found = {name: said[name] for name in sorted(policy.known) if said.get(name)}
    if found.get("page") == "1":
        del found["page"]
    return found


def name_of(path: str, query: Mapping[str, str]) -> str:
    """What a page is kept under."""
    return f"{path}?{urlencode(query)}" if query else path


# --- which page ---------------------------------------------------------------------------------------------------
def find(name: str, *, policy: Policy, make: Make) -> tuple[Kept | Page, State]:
    """The page that is kept under this name, or what `make` returns when it is not to be kept. Raises what `make`
    raises, and `making.TakesTooLong`."""
    found = pages.get(name)
    state = judge(found, policy)
    if found is not None and state is not State.FRESH:
        found = pages.look_again(name)  # another process may have been quicker
        state = judge(found, policy)
    if found is None or state is State.COLD:
        return _wait_for(name, found, policy=policy, make=make), State.COLD
    if state is State.STALE:
        renewers.ask(name, partial(_renew, name, policy=policy, make=make))
    return found, state


def judge(found: Kept | None, policy: Policy) -> State:
    if found is None:
        return State.COLD
    now, news = time.monotonic(), freshness.heard
    if found.checked != news:
        changed = freshness.untrue_since(tags=found.tags, began=found.began)
        found.untrue_since = min(found.untrue_since, changed or found.untrue_since)
        found.checked = news
    untrue = min(found.untrue_since, found.made + policy.page)
    if now >= untrue + policy.stale:
        return State.COLD
    # A process that was not yet told what changed before it began knows of no page of another one that it is true.
    told = found.mine or changes.watch.looked_at is not None
    if changes.watch.is_behind():  # what changed meanwhile is not known: it is made anew as often as what is untrue
        untrue = min(untrue, found.made + policy.stale)
    return State.FRESH if told and now < untrue else State.STALE


# --- making it ----------------------------------------------------------------------------------------------------
_together = making.Together["Kept | Page"]()
renewers = making.Renewers()
_rests_until = 0.0  # after a failure old pages are shown at once: a database that is away takes seconds to say so


def _wait_for(name: str, old: Kept | None, *, policy: Policy, make: Make) -> Kept | Page:
    """An old page is better than none: when the database does not answer, or somebody else does not get done."""
    global _rests_until
    if old is not None and time.monotonic() < _rests_until:
        return old
    try:
        return _together.make(name, partial(_make_alone, name, policy=policy, make=make))
    except (Error, making.TakesTooLong):
        old = old or pages.get(name)  # somebody else may have made one meanwhile
        if old is None:
            raise
        _rests_until = time.monotonic() + making.REST_SECONDS
        logger.warning("a %s page is shown although it is old: it cannot be made anew", policy.kind)
        return old


def _make_alone(name: str, *, policy: Policy, make: Make, wait: bool = True) -> Kept | Page:
    with making.locked(pages.lock_path(name), wait=wait):
        found = pages.look_again(name)
        if found is not None and judge(found, policy) is State.FRESH:
            return found  # whoever held the lock before has made it
        if found is not None and _primary_is_away():
            raise PrimaryAway("the primary is away, and the old page is as right as a replica")
        return _make(name, policy=policy, make=make)


def _renew(name: str, *, policy: Policy, make: Make) -> None:
    # Busy: another process is at it, and whoever asks next looks for what it made. 404: it is dropped, see `_make`.
    with suppress(making.Busy, Http404):
        _make_alone(name, policy=policy, make=make, wait=False)


def _make(name: str, *, policy: Policy, make: Make) -> Kept | Page:
    began, begun, as_of = _heard_until(), time.monotonic(), time.time()
    try:
        made, from_primary = _rendered(make)
    except Exception as error:
        RENDERINGS.labels(policy.kind, "failed").inc()
        if isinstance(error, Http404):
            pages.drop(name)
        raise
    if made.status != 200:
        RENDERINGS.labels(policy.kind, "other").inc()
        return made
    refuse_what_is_private(made.body)
    if not from_primary:  # it is as old as may be: shown until the primary is there again, and made anew at once then
        began = begun = begun - policy.page
    new = page(
        name=name,
        kind=policy.kind,
        tags=made.tags,
        began=began,
        made=begun,
        as_of=as_of,
        content_type=made.content_type,
        body=made.body,
    )
    if pages.put(new):
        renewers.ask("(sweep)", pages.sweep)  # in its thread: nobody waits for it
    RENDERINGS.labels(policy.kind, "kept").inc()
    return new


def _heard_until() -> float:
    """A page may be made of this process's own copies (`object_cache`), so it shows what this process has heard of."""
    return min(time.monotonic(), changes.watch.heard_until or math.inf)


def _rendered(make: Make) -> tuple[Page, bool]:
    """While the primary is away a replica is right where there is nothing else. Second, whether it was the primary."""
    if _primary_is_away():
        return make(), False
    with database.primary("kept page"):
        return make(), True


def _primary_is_away() -> bool:
    return bool(settings.REPLICAS) and database.watch.is_gone(DEFAULT_DB_ALIAS)


def refuse_what_is_private(body: str) -> None:
    """Raises `NotForEverybody`. A view that is given no request cannot know anybody; this sees one that found a way."""
    if "csrfmiddlewaretoken" in body:
        REFUSED.inc()
        raise NotForEverybody("a page that was to be kept holds a CSRF token")


# --- the answer ---------------------------------------------------------------------------------------------------
def respond(meta: Mapping[str, Any], found: Kept, *, state: State, policy: Policy) -> HttpResponse:
    """The page, packed for who takes that, or 304 for who has it. It bears what it is (`kept`, `policy`), for the
    front (`shop/front.py`)."""
    asked, encodings = meta.get("HTTP_IF_NONE_MATCH", ""), meta.get("HTTP_ACCEPT_ENCODING")
    response: HttpResponse
    if asked and (found.etag in asked or asked.strip() == "*"):
        response = HttpResponseNotModified()
    elif encodings and _takes_packed(encodings):
        response = HttpResponse(found.packed, content_type=found.content_type)
        response.headers["Content-Encoding"] = "gzip"
    else:
        response = HttpResponse(found.body, content_type=found.content_type)
    # An old page must not be kept by the edge as if it were new: there it is asked for again at once. Who has waited
    # may have got one as well.
    fresh = state is State.FRESH or (state is State.COLD and judge(found, policy) is State.FRESH)
    edge = policy.edge if fresh else 1
    # Beyond that it may show it for as long again, while it asks for the next one. What it shows while we are away is
    # for it to say (deploy/nginx/looked_up.conf).
    old = f"stale-while-revalidate={edge}, stale-if-error=0"
    response.headers["Cache-Control"] = f"public, max-age={policy.browser}, s-maxage={edge}, {old}"
    response.headers["ETag"] = found.etag
    if response.status_code != 304:  # it would speak of the page that is not sent
        response.headers["Content-Length"] = str(len(response.content))
    if encodings is not None:  # the edge sends none, and keeps nothing that varies
        response.headers["Vary"] = "Accept-Encoding"
    _count(found, state)
    response.kept, response.policy = found, policy  # type: ignore[attr-defined]
    return response


def _takes_packed(encodings: str) -> bool:
    """Browsers say `gzip, deflate, br`. A weight is rare, and of weights only 0 means no."""
    offered = (one.replace(" ", "").lower().partition(";q=") for one in encodings.split(","))
    return any(coding == "gzip" and (not weight or weight.strip("0.")) for coding, _, weight in offered)


def _count(found: Kept, state: State) -> None:
    PAGES.labels(found.kind, state.value).inc()
    PAGE_AGE.labels(found.kind).observe(time.time() - found.as_of)
    if settings.PROVENANCE:
        database.remembered(datetime.fromtimestamp(found.as_of, UTC), source="page-cache")


def _unkept(made: Page) -> HttpResponse:
    response = HttpResponse(made.body, status=made.status, content_type=made.content_type)
    response.headers["Cache-Control"] = "no-store"
    if made.status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def _absent(request: HttpRequest, nothing: Http404, policy: Policy) -> HttpResponse:
    """The edge keeps it as it does a page: it takes the place of one that was there, and a crowd that follows a dead
    link asks for it once."""
    response = explain(request, 404, str(nothing))
    response["Cache-Control"] = f"public, max-age=0, s-maxage={policy.edge}"
    return response


def forget() -> None:
    """All kept pages of this machine, and what this process heard of changes (another database, as between tests)."""
    global _rests_until, renewers
    _rests_until = 0.0
    pages.forget()
    freshness.forget()
    renewers.end()
    renewers = making.Renewers()
