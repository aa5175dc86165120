"""Is the site slower while the follower catches up 10,000 blocks after an outage?

python -m bench.catch_up [blocks] [seconds]

The embedded default: SQLite, where the follower's transactions and the signups share one write lock, and a simulated
chain with payments of strangers in each block and of ours in every tenth. gunicorn with one worker answers one client
that asks for positions and one that signs people up, first alone, then while `manage.py follow_chains` catches up.
Told are the waits of both, and blocks a second. The clients go on for so many seconds, or until it has caught up.
Whatever else than an answer a client gets, or a follower that dies, ends the measurement with 1.
"""

import http.client
import json
import os
import queue
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.side_by_side import ROOT, filled_line, gunicorn, machine

LINE, ASKING = 40_000, 500
MOST_SECONDS = 300
MILLISECONDS = 1e3
PATIENCE = 60  # seconds for one answer
Request = tuple[str, str, bytes | None]


def main() -> None:
    blocks, seconds = (int(value) for value in (*sys.argv[1:], *("10000", "20")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        data = Path(folder)
        paths = filled_line(data, people=LINE, tickets=ASKING)
        began = time.monotonic()
        _run(data, "bench.outage", str(blocks))
        os.environ |= {"STAMPEDE_SIGNUPS_PER_MINUTE": "0", "STAMPEDE_LOG_LEVEL": "WARNING"}  # one address for all
        print(f"{blocks:,} blocks were mined meanwhile, in {time.monotonic() - began:.0f} s", file=sys.stderr)
        with gunicorn("config.wsgi:application", data=data) as url:
            _waits(url, paths, lambda begun: time.monotonic() - begun > 3)  # warm
            alone = _waits(url, paths, lambda begun: time.monotonic() - begun > seconds)
            with _follower(data) as follower:
                first = _height(data)
                _wait(lambda: _height(data) > first)  # its start is not what is measured
                began, first = time.monotonic(), _height(data)

                def is_over(begun: float) -> bool:
                    return _height(data) >= blocks or _is_late(begun) or follower.poll() is not None

                beside = _waits(url, paths, is_over)
                took, followed = time.monotonic() - began, _height(data) - first
        if followed < blocks - first:
            sys.exit(f"only {followed} blocks were followed in {took:.0f} s")
    for name in alone:
        _show(name, alone[name], beside[name])
    rate = followed / took
    print(f"caught up {followed:,} blocks on each chain, {rate:,.0f} blocks/s each ({machine()})")


def _waits(url: str, paths: list[str], over: Callable[[float], bool]) -> dict[str, list[float]]:
    """Milliseconds of each request of both clients, until it is over. Exits when something was not answered."""
    end, failed = threading.Event(), queue.SimpleQueue[str]()
    found: dict[str, list[float]] = {"position": [], "signup": []}
    clients = [
        threading.Thread(target=_client, args=(url, request, found[name], end, failed), daemon=True)
        for name, request in (("position", _positions(paths)), ("signup", _signups()))
    ]
    for client in clients:
        client.start()
    begun = time.monotonic()
    while not over(begun) and failed.empty():
        time.sleep(0.1)
    end.set()
    for client in clients:
        client.join(2 * PATIENCE)
    if any(client.is_alive() for client in clients):
        failed.put("a client did not end")
    if not failed.empty():
        sys.exit(failed.get())
    return found


def _client(
    url: str, requests: Iterator[Request], waits: list[float], end: threading.Event, failed: "queue.SimpleQueue[str]"
) -> None:
    """Asks until the end. A thread cannot end the measurement: it says what went wrong, whatever it is."""
    try:
        with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)) as connection:
            while not end.is_set():
                waits.append(_wait_for(connection, *next(requests)))
                time.sleep(0.005)  # a crowd of two would otherwise measure how busy it is itself
    except Exception as error:  # noqa: BLE001 (told by the thread that waits for this one)
        failed.put(f"a client: {error!r}")


def _wait_for(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None) -> float:
    """Milliseconds until the answer was there. Raises `RuntimeError` for one that says something else than that it was
    done, and what the connection raises."""
    began = time.monotonic()
    connection.request(method, path, body, {"Content-Type": "application/json", "Accept": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status not in (200, 202):
        raise RuntimeError(f"{method} {path} answered {answer.status} {said[:200]!r}")
    return (time.monotonic() - began) * MILLISECONDS


def _positions(paths: list[str]) -> Iterator[Request]:
    while True:
        yield from (("GET", path, None) for path in paths)


def _signups() -> Iterator[Request]:
    while True:
        yield "POST", "/signup/", json.dumps({"email": f"{uuid.uuid4().hex}@example.org"}).encode()


@contextmanager
def _follower(data: Path) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "manage.py", "follow_chains"]
    process = subprocess.Popen(command, cwd=ROOT, env=_environment(data), stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _run(data: Path, module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, env=_environment(data), check=True)


def _environment(data: Path) -> dict[str, str]:
    return {
        **os.environ,
        "STAMPEDE_DATA": str(data),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "STAMPEDE_LOG_LEVEL": "WARNING",
    }


def _height(data: Path) -> int:
    """Of the chain that is followed least far."""
    with closing(sqlite3.connect(f"file:{data / 'stampede.sqlite3'}?mode=ro", uri=True, timeout=30)) as books:
        return int(books.execute("SELECT min(height) FROM ico_chaincursor").fetchone()[0])


def _wait(condition: Callable[[], bool]) -> None:
    begun = time.monotonic()
    while not condition():
        if _is_late(begun):
            sys.exit("the follower did not begin")
        time.sleep(0.05)


def _is_late(begun: float) -> bool:
    return time.monotonic() - begun > MOST_SECONDS


def _show(name: str, alone: list[float], beside: list[float]) -> None:
    for when, waits in (("alone", alone), ("while catching up", beside)):
        cut = statistics.quantiles(waits, n=100)
        print(f"{name:<10}{when:<20}p50 {cut[49]:7.1f} ms   p99 {cut[98]:7.1f} ms   ({len(waits):,} requests)")


if __name__ == "__main__":
    main()
