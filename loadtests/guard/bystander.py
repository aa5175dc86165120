"""Somebody else's page on the same machines, asked once a second while a run lasts. When it slows down or fails, the
run is doing harm, and is ended.

What slow means is measured before the first arrival, at that page itself. Its answers lie in `bystander.jsonl`.
"""

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from http.client import HTTPException
from io import FileIO
from pathlib import Path
from urllib.parse import urlsplit

from loadtests import jsonlines
from loadtests.beside import Running
from loadtests.guard import pinned
from loadtests.target import Target, TargetRefused, resolve

EVERY_SECONDS = 1.0
FIRST = 8  # answers that say what is usual
FIRST_EVERY_SECONDS = 0.1
WINDOW = 6  # answers whose median is compared: one that is slow by chance ends nothing
FAILURES = 3  # in a row
TIMES, MORE_SECONDS = 3.0, 0.1  # slow is three times the usual, and a tenth of a second more than it
PATIENCE_SECONDS = 5.0
FILE = "bystander.jsonl"


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer of the bystander. `at`: second of the run. `error`: empty when it answered with less than a 500."""

    at: float
    seconds: float
    error: str = ""


def harmed(*, usual: float, seen: Sequence[Seen]) -> str | None:
    """Why the run must end, or None. `usual`: seconds that an answer took before; `seen`: the latest ones, in order."""
    last = seen[-FAILURES:]
    if len(last) == FAILURES and all(one.error for one in last):
        return f"the bystander failed {FAILURES} times in a row ({last[-1].error})"
    window = [PATIENCE_SECONDS if one.error else one.seconds for one in seen[-WINDOW:]]
    if len(window) < WINDOW:
        return None
    now = statistics.median(window)
    if now > max(TIMES * usual, usual + MORE_SECONDS):
        return f"the bystander answers in {now * 1e3:.0f} ms, and took {usual * 1e3:.0f} ms before the run"
    return None


class Bystander:
    """A Beside. `url`: what is asked, on this machine or on a host of `allow`."""

    def __init__(self, url: str, *, allow: Sequence[str] = ()) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        self._at: Target = resolve(f"{parts.scheme}://{parts.netloc}", allow=allow)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._over = threading.Event()
        self._watch: threading.Thread | None = None
        self._file: FileIO | None = None

    def start(self, running: Running) -> None:
        """Raises `TargetRefused` when it does not answer before anybody has come."""
        if running.target is not None and running.target.host == self._at.host:
            self._at = replace(self._at, address=running.target.address)  # the name may have several
        first = []
        for _ in range(FIRST):
            first.append(self._ask(0.0))
            if first[-1].error:
                raise TargetRefused(f"the bystander {self._at.url} does not answer: {first[-1].error}")
            self._over.wait(FIRST_EVERY_SECONDS)
        usual = statistics.median(one.seconds for one in first)
        self._file = (running.run_dir / FILE).open("wb", buffering=0)
        self._watch = threading.Thread(target=self._look, args=(running, usual), name="bystander", daemon=True)
        self._watch.start()

    def stop(self) -> None:
        self._over.set()
        if self._watch is not None:
            self._watch.join(2 * PATIENCE_SECONDS)  # one answer is waited for; a run ends whatever it does
        if self._file is not None:
            self._file.close()

    def _look(self, running: Running, usual: float) -> None:
        seen: deque[Seen] = deque(maxlen=WINDOW)
        told = False
        write = self._writer(running)
        while not self._over.wait(EVERY_SECONDS):
            seen.append(self._ask(round(time.time() - running.began, 3)))
            write(seen[-1])
            why = harmed(usual=usual, seen=list(seen))
            if why is not None:
                running.event(why)
                # Nobody else comes. If those who are present do the harm as well, they do not stay to their end.
                (running.leave if told else running.stop)(why)
                told = True
                seen.clear()

    def _writer(self, running: Running) -> Callable[[Seen], None]:
        def write(seen: Seen) -> None:
            try:
                if self._file is not None:
                    jsonlines.append(self._file, asdict(seen))
            except OSError as error:  # a full disk does not make us look away
                running.event(f"{FILE} cannot be written: {error.strerror}")

        return write

    def _ask(self, at: float) -> Seen:
        connection = pinned.connection(self._at, timeout=PATIENCE_SECONDS)
        began = time.monotonic()
        error = ""
        try:
            headers = {"Host": self._at.authority, "User-Agent": "stampede-laboratory", "Connection": "close"}
            connection.request("GET", self._path, headers=headers)
            response = connection.getresponse()
            response.read(1 << 20)
            error = f"status {response.status}" if response.status >= 500 else ""
        except (OSError, HTTPException) as problem:
            error = repr(problem)
        finally:
            connection.close()
        return Seen(at, time.monotonic() - began, error)


def read(run_dir: Path) -> list[Seen]:
    """What was seen in a run; nothing when nobody looked."""
    return [Seen(**line) for line in jsonlines.read(run_dir / FILE)]
