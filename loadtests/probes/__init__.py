"""What the target's machine and servers do while a run lasts, each second, in `probes.jsonl` of the run's folder.

A reader is a thread of its own: a server that hangs costs its own figures and nobody else's. A line holds what one
reader saw in one second; a second without a line is one in which it learned nothing, and stays empty in the record.
"""

import json
import math
import threading
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from loadtests import jsonlines
from loadtests.beside import Running
from loadtests.probes import counted, metrics, parts, processes, servers
from loadtests.probes.series import series
from loadtests.target import Target

FILE = "probes.jsonl"
STOP_SECONDS = 5.0


class Reader(Protocol):
    """One thing that is looked at. `read` gives `groups`, `gauges`, `host` of this moment, and may raise anything."""

    @property
    def name(self) -> str: ...

    def read(self) -> dict[str, Any]: ...

    def close(self) -> None: ...


def read(run_dir: Path) -> dict[str, Any] | None:
    """The series of a run, as its record holds them; None when nothing was probed."""
    return series(jsonlines.read(run_dir / FILE))


def find(target: Target) -> parts.Parts:
    """Where the target's parts are."""
    if ip_address(target.address).is_loopback:
        return parts.here(target.port)
    from django.conf import settings  # here: a generator process never loads Django

    told = settings.LOAD_METRICS
    return parts.elsewhere(f"{target.url}/metrics" if told is None else told.geturl())


def readers(found: parts.Parts) -> list[Reader]:
    """What can be looked at of these parts. The machine only when the target is on it."""
    there: list[Reader] = []
    if found.roots or found.supervisor is not None:
        there += [processes.Processes(found), processes.Machine(found)]
    if found.status_url:
        there.append(servers.Nginx(found.status_url, limit=found.connections))
    for node, url in found.databases.items():
        primary = found.databases.get("primary") if node != "primary" else None
        lag = servers.Lag(servers.MariaDB("primary", primary)) if primary else None
        there.append(servers.MariaDB(node, url, lag))
    if found.redis:
        there.append(servers.Redis(found.redis))
    return there + _of_the_application(found)


def _of_the_application(found: parts.Parts) -> list[Reader]:
    url, folder = found.metrics_url, found.metrics_folder
    if folder is not None and folder.is_dir():
        own: list[Reader] = [metrics.Application(lambda: metrics.from_folder(folder), threads=found.threads)]
        return own + ([metrics.Depths(url)] if url else [])
    if url is None:
        return []
    return [metrics.Application(lambda: metrics.from_text(parts.fetched(url).decode()), threads=found.threads)]


@dataclass(slots=True)
class Probes:
    """What goes on beside the load (`loadtests/beside.py`). The target's own count of requests is taken before the
    first and after the last of what is read here, and left in the run's folder as well."""

    _target: parts.Parts = field(default_factory=parts.Parts)
    _readers: list[Reader] = field(default_factory=list)
    _before: counted.Count | None = None
    _running: Running | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, running: Running) -> None:
        out = _Lines(running.run_dir / FILE, self._lock)
        self._running, self._target = running, find(running.target)
        self._before = counted.count(self._target, own=0)
        self._readers = readers(self._target)
        for reader in self._readers:
            watch = _Watch(reader, out, running, self._stopping)
            thread = threading.Thread(target=watch.run, name=f"probe {reader.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:  # one that hangs ends with the process
            thread.join(max(0.0, until - time.monotonic()))
        if self._running is not None:
            self._write_count(self._running)

    def _write_count(self, running: Running) -> None:
        asked = 1 + sum(reader.asked for reader in self._readers if isinstance(reader, servers.Nginx))
        found = counted.between(self._before, counted.count(self._target, own=asked))
        try:
            counted.write(running.run_dir, found)
        except OSError as error:
            running.event(f"the target's own count cannot be written down: {error.strerror}")


@dataclass(frozen=True, slots=True)
class _Lines:
    path: Path
    lock: threading.Lock

    def add(self, line: dict[str, Any]) -> None:
        """Raises `OSError`."""
        with self.lock, self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@dataclass(slots=True)
class _Watch:
    """One reader's thread: at the end of each second it looks, and writes down what it saw."""

    reader: Reader
    out: _Lines
    running: Running
    stopping: threading.Event
    fault: str = ""

    def run(self) -> None:
        every = getattr(self.reader, "every", 1)
        second = max(0, self._next())
        while not self.stopping.wait(max(0.0, self.running.began + second - time.time())):
            if not self._look(second - 1):
                break
            second = max(second + every, self._next())
        self.reader.close()

    def _next(self) -> int:
        """The second that ends next; the run's beginning may still be moved while others get ready."""
        return math.ceil(time.time() - self.running.began)

    def _look(self, second: int) -> bool:
        """What is seen first, before second 0, is what the first rates are reckoned from. False: nothing can be
        written any more."""
        try:
            seen = self.reader.read()
        except Exception as error:  # noqa: BLE001 (a target in trouble may cause anything, and that is what is measured)
            self._say(f"{type(error).__name__}: {error}"[:200])
            return True
        self._say("")
        try:
            if second >= 0:
                self.out.add({"at": second, **seen})
        except OSError as error:
            self.running.event(f"probe {self.reader.name}: cannot be written down: {error.strerror}")
            return False
        return True

    def _say(self, fault: str) -> None:
        """Once when it begins, once when it is over, however often it is asked meanwhile."""
        if bool(fault) != bool(self.fault):
            self.running.event(
                f"{self.reader.name} does not answer: {fault}" if fault else f"{self.reader.name} answers again"
            )
        self.fault = fault
