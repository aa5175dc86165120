from __future__ import annotations

import threading

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from config import writing
from config.writing import HANGING_SECONDS, WritingMiddleware


class Primary:
    """Answers writes with `status`, each after `seconds` of the clock; holds them while `hold` is set."""

    def __init__(self) -> None:
        self.status, self.seconds, self.now, self.asked = 200, 0.01, 0.0, 0
        self.go_on = threading.Event()
        self.go_on.set()
        self.reached = threading.Semaphore(0)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        self.asked += 1
        self.reached.release()
        assert self.go_on.wait(30)
        self.now += self.seconds
        return HttpResponse(status=self.status)


@pytest.fixture
def primary() -> Primary:
    return Primary()


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_hung_at", None)


@pytest.fixture
def web(primary: Primary) -> WritingMiddleware:
    return WritingMiddleware(primary, clock=lambda: primary.now)


def post(web: WritingMiddleware) -> int:
    return web(RequestFactory().post("/signup/")).status_code


def hang(primary: Primary, web: WritingMiddleware) -> None:
    primary.status, primary.seconds = 503, HANGING_SECONDS + 1
    assert post(web) == 503


def both(primary: Primary, web: WritingMiddleware) -> tuple[int, int]:
    """One write that waits, and what the next one is answered meanwhile. Returns that, and how many got through."""
    before = primary.asked
    primary.go_on.clear()
    primary.reached = threading.Semaphore(0)
    one = threading.Thread(target=post, args=(web,))
    one.start()
    assert primary.reached.acquire(timeout=30)
    answers: list[int] = []
    two = threading.Thread(target=lambda: answers.append(post(web)))
    two.start()
    two.join(0.5)
    refused_at_once = bool(answers)
    primary.go_on.set()
    one.join(30)
    two.join(30)
    return answers[0] if refused_at_once else 0, primary.asked - before


def test_while_the_primary_hangs_one_at_a_time_tries(primary: Primary, web: WritingMiddleware) -> None:
    hang(primary, web)
    assert both(primary, web) == (503, 1)
    assert both(primary, web) == (503, 1), "the one that tried has failed, and the next may"


def test_who_is_sent_away_is_told_when_to_come_again(primary: Primary, web: WritingMiddleware) -> None:
    hang(primary, web)
    with web._trying:
        response = web(RequestFactory().post("/signup/"))
    assert (response.status_code, response["Retry-After"]) == (503, "5")


def test_a_primary_that_does_not_hang_is_asked_by_everybody(primary: Primary, web: WritingMiddleware) -> None:
    """Negative control: nothing was slow, so the second one waits beside the first."""
    assert both(primary, web) == (0, 2)
    primary.status = 503  # refused at once: nobody holds a thread
    assert post(web) == 503
    assert both(primary, web) == (0, 2)


def test_others_can_ask_whether_it_hung_lately(
    primary: Primary, web: WritingMiddleware, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not writing.hung_lately()
    hang(primary, web)
    assert writing.hung_lately()
    with monkeypatch.context() as later:
        later.setattr(writing, "_LATELY_SECONDS", 0.0)
        assert not writing.hung_lately(), "nobody has tried since, so nothing is known"
    primary.status, primary.seconds = 202, 0.01
    assert post(web) == 202
    assert not writing.hung_lately()


def test_one_success_ends_it(primary: Primary, web: WritingMiddleware) -> None:
    hang(primary, web)
    primary.status, primary.seconds = 202, 0.01
    assert post(web) == 202
    assert both(primary, web) == (0, 2)


@pytest.mark.parametrize("status", [404, 422, 429, 500])
def test_what_may_never_have_asked_the_primary_does_not_end_it(
    primary: Primary, web: WritingMiddleware, status: int
) -> None:
    hang(primary, web)
    primary.status, primary.seconds = status, 0.01
    assert post(web) == status
    assert both(primary, web) == (503, 1)


def test_readers_are_never_sent_away(primary: Primary, web: WritingMiddleware) -> None:
    hang(primary, web)
    primary.status = 200
    with web._trying:
        assert web(RequestFactory().get("/")).status_code == 200
