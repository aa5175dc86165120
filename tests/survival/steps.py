"""What the survival tests share: a crowd in the middle of which something happens, and what must be true afterwards."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tests.deadline import until
from tests.process.crowd import USERS, acknowledged, audited_clean, board, mails, run
from tests.survival.conftest import Stack

OUTAGE_SECONDS = 20  # longer than anything that is tried again at once
UNSENT = "SELECT COUNT(*) FROM ico_outboxmessage WHERE state <> 'sent'"
ENTRANTS = "SELECT COUNT(*) FROM ico_entrant"


@contextmanager
def crowd(stack: Stack, folder: Path, *more: str) -> Iterator[None]:
    """A load run; the block begins when it is in the middle."""
    with run(stack, "signup", folder, *more):
        until(lambda: len(acknowledged(folder)) > USERS // 4, "the run is in the middle")
        yield


def everybody_is_told(stack: Stack) -> None:
    """Numbered, invited, and both mails arrived."""
    until(lambda: board(stack)["last_number"] == stack.count(ENTRANTS), "everybody has a number")
    until(lambda: board(stack)["waiting"] == 0, "everybody is invited")
    until(lambda: stack.count(UNSENT) == 0, "no mail is waiting")
    assert len(set(mails(stack))) == 2 * stack.count(ENTRANTS)


def came_through(stack: Stack, run_dir: Path, *, share: float = 1) -> None:
    """Nothing that was promised is lost; and where `share` is 1, nobody noticed anything."""
    if share == 1:
        assert refusals(run_dir) == 0
    assert len(acknowledged(run_dir)) >= share * USERS, "people got through"
    everybody_is_told(stack)
    audited_clean(stack, run_dir)


def refusals(run_dir: Path) -> int:
    """How many requests of the load failed, and how many answers were untrue."""
    total = json.loads((run_dir / "run.json").read_text())["results"]["total"]
    return int(total["failure"]) + int(total["untrue"])


def ticket(run_dir: Path) -> str:
    """Of somebody who signed up before."""
    return str(json.loads(acknowledged(run_dir)[0])["ticket"])


def repeated(stack: Stack) -> int:
    """How many mails so far arrived although the same one had arrived before."""
    arrived = mails(stack)
    return len(arrived) - len(set(arrived))


def outage(seconds: float) -> None:
    """Let a part be away for so long: the length of it is what is tested."""
    time.sleep(seconds)


def status(url: str, *, data: bytes | None = None) -> int:
    try:
        with urlopen(Request(url, data=data, headers={"Accept": "application/json"}), timeout=30) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except URLError:
        return 0


@contextmanager
def asking(question: Callable[[], int]) -> Iterator[Counter[int]]:
    """Somebody who asks again and again while the block runs; the answers, counted by status."""
    answers: Counter[int] = Counter()
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            answers[question()] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


def page(stack: Stack, run_dir: Path) -> Callable[[], int]:
    """Asks for a private page, which no cache keeps and a query is made for. Answers with its status."""
    return lambda: status(f"{stack.url}/line/{ticket(run_dir)}/")
