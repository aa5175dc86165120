"""New code and restarts behind nginx while people sign up and ask: who is turned away, and is everybody in the books
who was told so?"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import RemoteDisconnected
from itertools import count
from pathlib import Path

import psutil
import pytest

from tests.deadline import until
from tests.deploy.edge import Answer, Edge, ask, edge
from tests.deploy.web import Web, web

pytestmark = pytest.mark.process
PEOPLE = 6
_numbers = count(1)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture
def public(application: Web, tmp_path: Path) -> Iterator[Edge]:
    with edge(tmp_path, upstream=application.port, static=application.static) as running:
        yield running


@dataclass
class Load:
    """People who sign up and then ask for their position, one after the other, for as long as the block lasts."""

    promised: list[str] = field(default_factory=list)
    served: int = 0
    refused: list[Answer] = field(default_factory=list)
    broken: list[BaseException] = field(default_factory=list)

    def until_more(self, requests: int) -> None:
        goal = self.served + requests
        until(lambda: self.served >= goal or self.broken, f"{requests} requests more")


@contextmanager
def load(public: Edge) -> Iterator[Load]:
    told, over = Load(), threading.Event()

    def person() -> None:
        try:
            while not over.is_set():
                _sign_up_and_ask(public, told)
        except BaseException as error:  # noqa: BLE001 (a connection that breaks is what we count)
            told.broken.append(error)

    crowd = [threading.Thread(target=person) for _ in range(PEOPLE)]
    for one in crowd:
        one.start()
    try:
        told.until_more(20)
        yield told
        told.until_more(20)
    finally:
        over.set()
        for one in crowd:
            one.join(30)


def _sign_up_and_ask(public: Edge, told: Load) -> None:
    email = f"reload-{next(_numbers)}@load.test"
    answer = sign_up(public.port, email)
    if answer.status == 202:
        told.promised.append(email)
        asked = public.ask(json.loads(answer.body)["position_url"])
        told.refused += [asked] if asked.status != 200 else []
        told.served += asked.status == 200
    else:
        told.refused.append(answer)


def sign_up(port: int, email: str) -> Answer:
    return ask(port, "/signup/", "POST", json.dumps({"email": email}).encode(), Content_Type="application/json")


def in_the_books(application: Web) -> set[str]:
    with closing(sqlite3.connect(application.data / "stampede.sqlite3", timeout=30)) as books:
        return {row[0] for row in books.execute("SELECT email FROM ico_entrant")}


def workers(application: Web) -> set[int]:
    return {child.pid for child in psutil.Process(application.process.pid).children()}


def reload(application: Web) -> None:
    old = workers(application)
    os.kill(application.process.pid, signal.SIGHUP)
    until(
        lambda: len(workers(application) - old) == 2 and not workers(application) & old, "new workers, and only those"
    )


def test_new_code_is_taken_up_without_turning_anybody_away(application: Web, public: Edge) -> None:
    with load(public) as told:
        for _ in range(3):
            reload(application)
            told.until_more(20)
    assert told.refused == []
    assert told.broken == []
    assert set(told.promised) <= in_the_books(application)


def test_workers_that_are_killed_turn_people_away_and_it_is_seen(application: Web, public: Edge) -> None:
    with load(public) as told:

        def kill() -> bool:
            for worker in workers(application):
                os.kill(worker, signal.SIGKILL)
            told.until_more(10)
            return bool(told.refused)

        until(kill, "somebody was turned away")
    assert {answer.status for answer in told.refused} == {503}
    assert set(told.promised) <= in_the_books(application)


def test_a_restart_says_come_back_and_loses_nobody(application: Web, public: Edge) -> None:
    known = public.ask("/").body
    with load(public) as told:
        application.stop()
        until(lambda: len(told.refused) > 20, "people are turned away")
        assert public.ask("/").body == known, "the page goes on"
        application.start()
    assert told.broken == []
    assert {(answer.status, *answer.all("Retry-After")) for answer in told.refused} == {(503, "5")}
    assert set(told.promised) <= in_the_books(application)


# --- a request in progress --------------------------------------------------------------------------------------------
@contextmanager
def signup_in_progress(application: Web, email: str) -> Iterator[tuple[Future[Answer], sqlite3.Connection]]:
    """A signup that a worker has taken and that waits for the write lock, which the connection holds."""
    file = application.data / "stampede.sqlite3"
    with ThreadPoolExecutor(1) as person, closing(sqlite3.connect(file, isolation_level=None)) as books:
        books.execute("BEGIN IMMEDIATE")
        answer = person.submit(sign_up, application.port, email)
        until(lambda: taken(application), "a worker has taken it")
        yield answer, books


def taken(application: Web) -> bool:
    """Whether a worker has accepted a connection that goes on."""
    held = (one for worker in workers(application) for one in psutil.Process(worker).net_connections("tcp"))
    return any(one.laddr.port == application.port and one.status == psutil.CONN_ESTABLISHED for one in held)


def test_an_orderly_stop_answers_what_is_in_progress(application: Web) -> None:
    with signup_in_progress(application, "patient@load.test") as (answer, books):
        application.process.terminate()
        until(lambda: len(workers(application)) == 1, "the worker that has nothing to do has ended")
        assert not answer.done()
        books.execute("ROLLBACK")
        assert answer.result(30).status == 202
        assert application.process.wait(30) == 0
    assert "patient@load.test" in in_the_books(application)
    application.start()


def test_a_kill_loses_what_is_in_progress(application: Web) -> None:
    """Negative control: the signup above was saved by the stop and by nothing else."""
    with signup_in_progress(application, "lost@load.test") as (answer, books):
        for worker in workers(application):
            os.kill(worker, signal.SIGKILL)
        with pytest.raises((RemoteDisconnected, ConnectionResetError)):
            answer.result(30)
        books.execute("ROLLBACK")
    assert "lost@load.test" not in in_the_books(application)
