"""Known answers from a load target itself: whatever its query says (`loadtests/calibrating/programme.py`), so that a
generator can be judged with everything in between, the edge and the web server included.

Only where a load target is declared. An answer holds a thread for as long as it takes, as a slow view does. Each
process counts and freezes by itself. What a WSGI application cannot do to its caller is left to the small precise
server (`loadtests/calibrating/known.py`).
"""

import socket
import time
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from config.load_target import must_be_declared
from loadtests.calibrating.programme import FAULTS, Planned, Programme, ProgrammeMistake, parse

PLAYED = ("close", "half")
_PIECES = 20  # of a body that drips


class _Playing:
    """A programme in this process: its clock, and its draws, which threads share."""

    def __init__(self, programme: Programme) -> None:
        self.programme = programme
        self.began = time.monotonic()
        self._draws = programme.draws()
        self._lock = Lock()

    def draw(self) -> Planned:
        with self._lock:
            return next(self._draws)


@lru_cache(maxsize=100)
def _playing(query: str) -> _Playing:
    programme = parse(query)
    if unknown := {kind for kind, _ in programme.answers} & set(FAULTS) - set(PLAYED):
        raise ProgrammeMistake(f"{', '.join(sorted(unknown))}: only loadtests/calibrating/known.py does this")
    return _Playing(programme)


@csrf_exempt
def known_answer(request: HttpRequest) -> HttpResponseBase:
    must_be_declared()
    try:
        playing = _playing(request.META.get("QUERY_STRING", ""))
    except ProgrammeMistake as mistake:
        raise BadRequest(str(mistake)) from mistake
    received, planned = time.monotonic(), playing.draw()
    due = playing.began + playing.programme.due(received=received - playing.began, seconds=planned.seconds)
    time.sleep(max(0.0, due - time.monotonic()))
    response = _answer(request, playing.programme, planned.kind)
    response["Cache-Control"] = "no-store"
    return response


def _answer(request: HttpRequest, programme: Programme, kind: str) -> HttpResponseBase:
    body = b"." * programme.size
    if kind == "close":
        _hang_up(request)
        return HttpResponse()  # to nobody
    if kind == "half":
        response = StreamingHttpResponse(_half(request, body), content_type="text/plain")
    elif programme.slow and kind == "200":
        response = StreamingHttpResponse(_dripping(body, programme.slow), content_type="text/plain")
    else:
        return HttpResponse(body, status=int(kind), content_type="text/plain")
    response["Content-Length"] = str(max(2, programme.size) if kind == "half" else programme.size)
    return response


def _dripping(body: bytes, seconds: float) -> Iterator[bytes]:
    began = time.monotonic()
    size = max(1, -(-len(body) // _PIECES))
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    for number, piece in enumerate(pieces, start=1):
        time.sleep(max(0.0, began + seconds * number / len(pieces) - time.monotonic()))
        yield piece


def _half(request: HttpRequest, body: bytes) -> Iterator[bytes]:
    yield body[: max(1, len(body) // 2)] or b"."
    _hang_up(request)


def _hang_up(request: HttpRequest) -> None:
    """gunicorn names the connection in the environment; what it writes afterwards fails, and it closes it."""
    connection = request.META.get("gunicorn.socket")
    if not isinstance(connection, socket.socket):
        raise BadRequest("this web server does not let its connections be closed")
    connection.shutdown(socket.SHUT_RDWR)
