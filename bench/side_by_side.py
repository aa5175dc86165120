"""Measures several addresses in one run, in turn (A B C A B C ...), so that what else the machine does hits all alike.
A ratio is the median of the rounds' ratios. Servers run under the product's own gunicorn settings, and are stopped at
the end."""

import http.client
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 8
START_SECONDS = 30


def rates(contenders: Mapping[str, list[str]], *, rounds: int, seconds: float) -> list[list[float]]:
    """Requests per second of each contender in each round; a contender is the arguments that wrk takes for it."""
    if shutil.which("wrk") is None:
        sys.exit("This measurement needs wrk: apt install wrk (Debian).")
    measured: dict[str, list[float]] = {name: [] for name in contenders}
    for address in contenders.values():
        _wrk(address, seconds=1)  # warm: the first request of a process compiles templates and opens the database
    for _ in range(rounds):
        for name, address in contenders.items():
            measured[name].append(_wrk(address, seconds=seconds))
            if not measured[name][-1]:
                sys.exit(f"{name} answered nobody within {seconds:g} s: give it more.")
    shown(measured, unit=f"requests/s, {rounds} rounds of {seconds:g} s")
    return list(measured.values())


def shown(measured: Mapping[str, list[float]], *, unit: str) -> None:
    """Print each contender's rounds."""
    print(f"{'':<28}{'median':>10}{'lowest':>10}{'highest':>10}  {unit}")
    for name, values in measured.items():
        print(f"{name:<28}" + "".join(f"{_said(of(values)):>10}" for of in (statistics.median, min, max)))


def _said(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"


def ratio(these: list[float], those: list[float]) -> float:
    """Within a round both had the same machine, so the rounds are compared one by one."""
    return statistics.median(this / that for this, that in zip(these, those, strict=True))


def machine() -> str:
    """What it was measured on, and how busy it was in the last minute, the measurement's own work included."""
    kind = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores, {kind}, load {os.getloadavg()[0]:.1f}"


@contextmanager
def gunicorn(
    application: str, *, data: Path, settings: str = "config.settings", more: tuple[str, ...] = ()
) -> Iterator[str]:
    """One worker of the application on a free port, so that wrk has the other core. Yields its URL. `more`: arguments
    that change what deploy/gunicorn.conf.py says."""
    environment = {
        **os.environ,
        "STAMPEDE_DATA": str(data),
        "STAMPEDE_WEB_WORKERS": "1",
        "DJANGO_SETTINGS_MODULE": settings,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "deploy/gunicorn.conf.py", *more, application]
    with serving(command, environment=environment) as url:
        yield url


@contextmanager
def serving(command: list[str], *, environment: Mapping[str, str]) -> Iterator[str]:
    """A gunicorn on a free port. Yields its URL."""
    port = _free_port()
    process = subprocess.Popen([*command, "--bind", f"127.0.0.1:{port}"], cwd=ROOT, env=dict(environment))
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def filled_line(data: Path, *, people: int, tickets: int) -> list[str]:
    """The paths at which some of a line of so many people ask for their position."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.filled_line", str(people), str(tickets)],
        cwd=ROOT,
        env={**os.environ, "STAMPEDE_DATA": str(data), "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [f"/api/position/{ticket}" for ticket in done.stdout.split()]


def taking_turns(url: str, paths: list[str], folder: Path) -> list[str]:
    """wrk arguments that ask for one path after the other; all of them are asked for once before."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for path in paths:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200 or b'"waiting"' not in body:
            sys.exit(f"{path} answered {answer.status} {body[:200]!r}")
    connection.close()
    script = folder / "turns.lua"
    quoted = ",".join(f'"{path}"' for path in paths)
    script.write_text(
        f"local paths = {{{quoted}}}\nlocal at = 0\n"
        "request = function() at = at % #paths + 1; return wrk.format('GET', paths[at]) end\n"
    )
    return ["-s", str(script), url]


def _wrk(address: list[str], *, seconds: float) -> float:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", *address]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        sys.exit(f"not every answer was right:\n{said}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    if not found:
        sys.exit(f"wrk said something else:\n{said}")
    return float(found[1])


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit("gunicorn did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
