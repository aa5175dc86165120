"""What this application tells Prometheus at `/metrics`.

Counters and histograms count as things happen; with PROMETHEUS_MULTIPROC_DIR set they lie in files there, one a
process, and any process can add all of them up. Figures are read from the books when somebody asks, in a thread of
their own (`config/asking.py`): a database that hangs costs a scrape a moment and the figures, never the answer.

An application states its figures in a module of `FIGURES` as a list of the same name. Names and meanings stand in
docs/operations.md, held against the code by a test.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from config import counting
from config.asking import Question
from config.requests import is_internal

logger = logging.getLogger(__name__)

FIGURES = ("config.depths", "config.outbox_figures", "ico.figures", "shop.figures")
SCRAPE_SECONDS = 1.0  # what a scrape waits for the books
SLOW_SECONDS = 1.0  # a request that takes longer is worth a line
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
FRESH_SECONDS = 1.0  # so many scrapers cost the books one reading

# A poll of the position takes under a millisecond, a page some, a signup waits for the disk; beyond 10 s nobody waits.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

counting.begin()
REQUESTS = Histogram(
    "stampede_request_seconds",
    "Seconds to answer a request, by the name of its route and the class of the status.",
    ["route", "method", "outcome"],
    buckets=SECONDS,
)
CACHE = Counter("stampede_cache_reads", "Keys that were looked for in a cache.", ["cache", "result"])
MAILS = Counter("stampede_mails", "Mails by kind and how trying to send them ended.", ["kind", "outcome"])
QUERIES = Counter("stampede_database_queries", "Queries by database, the writer or a reader.", ["alias", "role"])
PRIMARY_READS = Counter(
    "stampede_database_primary_reads", "Safe requests that were sent to the primary, by the reason.", ["reason"]
)
UNEXPECTED_QUERIES = Counter(
    "stampede_database_unexpected_primary_queries",
    "Queries of safe requests on the primary that had no reason: each a mistake in the code.",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One gauge of the books: its name, its meaning, the names of its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


Values = Iterable[tuple[Figure, tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures that are read together: either all of them or none. `read` yields each value with its labels."""

    name: str
    figures: tuple[Figure, ...]
    read: Callable[[], Values]


READ = Figure("stampede_figures_read", "1 when this group of figures could be read just now, else 0.", ("group",))


def groups() -> Iterator[Figures]:
    for module in FIGURES:
        yield from import_module(module).FIGURES


class _Books(Collector):
    """The figures as Prometheus wants them. A group that cannot be read is left out: an old figure would look new."""

    def __init__(self) -> None:
        self._questions = {
            group.name: (group, Question(partial(_all, group), fresh_seconds=FRESH_SECONDS)) for group in groups()
        }

    def describe(self) -> Iterable[Metric]:
        return []  # registering must not read the books

    def collect(self) -> Iterator[Metric]:
        until = time.monotonic() + SCRAPE_SECONDS
        begun = [(group, question, question.begin()) for group, question in self._questions.values()]
        was_read = GaugeMetricFamily(READ.name, READ.help, labels=READ.labels)
        for group, question, asked in begun:
            answer = question.answer(within=until - time.monotonic(), begun=asked)
            was_read.add_metric((group.name,), float(answer.known))
            if answer.known:
                yield from _families(group, answer.value)
        yield was_read


def _all(group: Figures) -> list[tuple[Figure, tuple[str, ...], float]]:
    return list(group.read())  # here, in the question's thread, and not where they are written down


def _families(group: Figures, values: Values) -> Iterator[Metric]:
    families = {
        figure.name: GaugeMetricFamily(figure.name, figure.help, labels=figure.labels) for figure in group.figures
    }
    for figure, labels, value in values:
        families[figure.name].add_metric(labels, value)
    yield from families.values()


_books: _Books | None = None


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    global _books
    _books = _books or _Books()
    registry = CollectorRegistry()
    if counting.FOLDER in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    registry.register(_books)
    return generate_latest(registry)


class RequestsMiddleware:
    """Counts and times each request. A slow one and one that failed here get a line in the log; nginx has one of every
    request, with the same id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.perf_counter()
        response = self.get_response(request)
        seconds = time.perf_counter() - began
        match, method, status = request.resolver_match, request.method or "", response.status_code
        route = match.view_name if match else "none"
        # Looking a child up by its labels costs as much as counting; the kinds are few.
        kind = (route, method if method in METHODS else "other", status // 100)
        child = self._children.get(kind)
        if child is None:
            child = self._children[kind] = REQUESTS.labels(kind[0], kind[1], f"{kind[2]}xx")
        child.observe(seconds)
        if status >= 500 or seconds >= SLOW_SECONDS:
            fields = {"route": route, "method": method, "status": status, "seconds": round(seconds, 4)}
            logger.warning("%s %s: %d after %.3f s", method, request.path, status, seconds, extra={"fields": fields})
        return response


@csrf_exempt
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """For our own networks; for everybody else there is nothing at this address."""
    if not is_internal(request):
        raise Http404
    response = HttpResponse(exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    response["Cache-Control"] = "no-store"
    return response
