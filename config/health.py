"""Whether this process lives (`/healthz`), and whether what it stands on answers (`/readyz`).

A balancer asks `/healthz`: the machines share one primary, and taking all of them away would end the landing page, the
board and the positions, which go on without it. `/readyz` is for people, alarms and deployments. Each part is asked in
a thread of its own (`config/asking.py`), so that one that hangs costs the answer a moment. Who is not in our own
networks learns which part is in trouble, and not why.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from django.conf import settings
from django.core.cache import caches
from django.db import DEFAULT_DB_ALIAS, Error, connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from config import depths, writing
from config.asking import Answer, Question
from config.database import watch
from config.faults import READ_ONLY, words
from config.requests import is_internal

CHECKED = ("config.health", "ico.health")
ANSWER_SECONDS = 1.5
FRESH_SECONDS = 1.0  # so many who ask cost each part one question
OK, DEGRADED, FAILED = "ok", "degraded", "failed"


class Trouble(Exception):
    """A part answers and is not as it must be; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Check:
    """One part. `ask` returns a word on how it is, and raises when it is not well. `needed`: without it this process
    cannot do its work; without another part it does it slower, later or from an older copy."""

    name: str
    ask: Callable[[], str]
    needed: bool = False


@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process answers at all; it asks nobody else."""
    response = HttpResponse("ok\n", content_type="text/plain")
    response["Cache-Control"] = "no-store"
    return response


@csrf_exempt
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 while everything that is needed answers, with "degraded" when something else does not; else 503."""
    results = _results()
    states = {state for state, _ in results.values()}
    status = "unready" if FAILED in states else DEGRADED if DEGRADED in states else "ready"
    told = is_internal(request)
    parts = {
        name: {"ok": state == OK, **({"detail": detail} if told else {})} for name, (state, detail) in results.items()
    }
    response = JsonResponse({"status": status, "checks": parts}, status=503 if status == "unready" else 200)
    response["Cache-Control"] = "no-store"
    return response


def checks() -> Iterator[Check]:
    for module in CHECKED:
        yield from import_module(module).CHECKS


_questions: dict[str, tuple[Check, Question[str]]] = {}


def _results() -> dict[str, tuple[str, str]]:
    """State and detail of every part, all asked at the same time."""
    if not _questions:
        _questions.update({one.name: (one, Question(one.ask, fresh_seconds=FRESH_SECONDS)) for one in checks()})
    until = time.monotonic() + ANSWER_SECONDS
    begun = [(name, check, question, question.begin()) for name, (check, question) in _questions.items()]
    return {
        name: _result(check, question.answer(within=until - time.monotonic(), begun=asked))
        for name, check, question, asked in begun
    }


def _result(check: Check, answer: Answer[str]) -> tuple[str, str]:
    outcome = answer.outcome
    if isinstance(outcome, str):
        return OK, outcome
    detail = words(outcome) if isinstance(outcome, Error) else str(outcome) or type(outcome).__name__
    return FAILED if check.needed else DEGRADED, detail


def _primary() -> str:
    """Asked without writing: a commit that hangs, as on a full disk, shows in who waits (`config/writing.py`)."""
    with transaction.atomic(), connection.cursor() as cursor:  # on SQLite this takes the lock of a writer
        cursor.execute("SELECT @@global.read_only" if connection.vendor == "mysql" else "SELECT 0")
        if cursor.fetchone()[0]:
            raise Trouble(READ_ONLY)
    if writing.hung_lately():
        raise Trouble(
            "it answers, and a write of this process has waited in vain: see its own log, its disk may be full"
        )
    return "answers, and is not read-only"


def _replicas() -> str:
    """While the primary is away nobody can be behind it, and a replica is read from whatever its age."""
    alone = not watch.answers(DEFAULT_DB_ALIAS)
    replicas = watch.standings()[1:]
    left_out = [
        f"{one.alias}: {one.fault or 'behind'}"
        for one in replicas
        if not one.answers or not (alone or watch.is_young(one.alias))
    ]
    if left_out:
        raise Trouble("; ".join(left_out))
    return f"{len(replicas)} {'answer, without a primary to follow' if alone else 'follow'}"


def _cache() -> str:
    # The alias that raises; both are on the same server.
    caches["marks"].set("readyz", 1, timeout=10)
    return "answers"


def _broker() -> str:
    return ", ".join(f"{messages} {state} in {queue}" for queue, state, messages in depths.known())


CHECKS = [
    Check("database", _primary, needed=True),
    Check("cache", _cache),
    Check("broker", _broker),
    *([Check("replicas", _replicas)] if settings.REPLICAS else []),
]
