"""What does observing cost a request: ids, counting and timing beside the same view without them? And what would a line
in the log of each request cost?

Each contender is the product's own middleware around a bare view, called in turns within one process, and what is
measured is the thread's CPU time, so that whatever else the machine does hits all alike, and little.

python -m bench.observing [rounds] [calls]
"""

import io
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from bench.side_by_side import machine

Call = Callable[[], Any]
PRODUCT = "with an id, counted and timed (the product)"
WHOLE = "the whole middleware, an empty view"


def main() -> None:
    rounds, calls = (int(value) for value in (*sys.argv[1:], *("200", "100")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        os.environ |= {"STAMPEDE_DATA": folder, "PROMETHEUS_MULTIPROC_DIR": f"{folder}/metrics"}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        contenders = _contenders()
        for call in contenders.values():
            _microseconds(call, calls)  # warm
        measured = {name: [] for name in contenders}  # type: dict[str, list[float]]
        for _ in range(rounds):
            for name, call in contenders.items():
                measured[name].append(_microseconds(call, calls))
    bare = measured["the bare view behind all of it"]
    print(f"{'':<44}{'median':>9}{'more':>8}  us a request, {rounds} rounds of {calls}")
    for name, values in measured.items():
        more = statistics.median(this - that for this, that in zip(values, bare, strict=True))
        print(f"{name:<44}{statistics.median(values):>9.1f}{more:>+8.1f}")
    product, whole = (statistics.median(measured[name]) for name in (PRODUCT, WHOLE))
    print(f"observing: {(product - statistics.median(bare)) / whole:.2f} of an empty view's time ({machine()})")


def _contenders() -> dict[str, Call]:
    import django

    django.setup()
    from django.http import HttpResponse
    from django.test import RequestFactory
    from django.urls import ResolverMatch

    from config.logging import Json, Redact
    from config.metrics import RequestsMiddleware
    from config.requests import RequestIdMiddleware

    request = RequestFactory().get("/bench/empty")
    request.resolver_match = ResolverMatch(_contenders, (), {}, url_name="empty")

    def view(_: Any) -> HttpResponse:
        return HttpResponse(b"{}", content_type="application/json")

    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(Json())
    handler.addFilter(Redact())
    access = logging.getLogger("bench.access")
    access.addHandler(handler)
    access.propagate = False

    def logging_view(asked: Any) -> HttpResponse:
        response = view(asked)
        fields = {"route": "empty", "method": "GET", "status": response.status_code, "seconds": 0.001}
        access.info("%s %s %d", asked.method, asked.path, response.status_code, extra={"fields": fields})
        return response

    counted, known = RequestsMiddleware(view), RequestIdMiddleware(view)
    both, with_line = RequestIdMiddleware(RequestsMiddleware(view)), RequestIdMiddleware(logging_view)
    return {
        "the bare view behind all of it": lambda: view(request),
        "with an id": lambda: known(request),
        "counted and timed": lambda: counted(request),
        PRODUCT: lambda: both(request),
        "with an id and a JSON line for each": lambda: with_line(request),
        WHOLE: _whole(),
    }


def _whole() -> Call:
    """A request through everything that is configured, for the share of the parts above."""
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import RequestFactory

    settings.ROOT_URLCONF, settings.ALLOWED_HOSTS = "bench.urls", ["testserver"]
    os.makedirs(settings.STATIC_ROOT, exist_ok=True)
    handler, environ = WSGIHandler(), RequestFactory()._base_environ(PATH_INFO="/bench/empty")
    return lambda: handler(dict(environ), lambda status, headers: None)


def _microseconds(call: Call, calls: int) -> float:
    began = time.thread_time()
    for _ in range(calls):
        call()
    return (time.thread_time() - began) / calls * 1e6


if __name__ == "__main__":
    main()
