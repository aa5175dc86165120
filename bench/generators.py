"""Load generators on the same known answers: what a request costs each of them in CPU, what a thousand sessions cost in
memory, and how far its percentiles are from what the server really did. The goal: half of stock FastHttpUser's CPU.

python -m bench.generators [sessions] [requests a second] [seconds]

Ours, Locust's FastHttpUser and HttpUser hold so many sessions, each of which asks, thinks, and asks again; measured
is from when all are there. wrk and hey
know no thinking: they hold as many connections as give about the same rate. Tsung's sessions think; it reports no
percentiles. The CPU is of the generator's process alone; that of Tsung contains its start.
"""

# Two of the children are Locust's, which patches the standard library: before everything else, and only there.
import sys

if "--as" in sys.argv:
    import locust
    from locust import FastHttpUser, HttpUser, constant, task
    from locust.env import Environment

import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from bench.side_by_side import ROOT, machine

GOAL = 0.5  # of stock FastHttpUser's CPU per request
LATENCY = "lognormal:20ms,0.5"
MEAN_SECONDS = 0.0227  # of that
PERCENTILES = ("p50", "p95", "p99")
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


def main() -> None:
    sessions, rate, seconds = (int(value) for value in (*sys.argv[1:], *("1000", "500", "10")[len(sys.argv) - 1 :]))
    print(f"{sessions:,} sessions, {rate}/s for {seconds} s, answers {LATENCY}, {machine()}")
    told = {}
    for name, run in GENERATORS.items():
        if shutil.which(name) is None and run is not sessions_of_ours:
            print(f"{name:13} is not on this machine")
            continue
        with answers() as url:
            urlopen(Request(f"{url}/truth", method="POST")).read()
            result = run(name, f"{url}/.well-known/known-answer?latency={LATENCY}&name=step", sessions, rate, seconds)
            truth = json.load(urlopen(f"{url}/truth"))["by"]["step"]["right_ms"]
        told[name] = result["cpu_us"] = result["cpu_seconds"] * 1e6 / max(1, result["requests"])
        tell(name, result, truth)
    share = told["ours"] / told["FastHttpUser"]
    print(
        f"ours costs {share:.2f} of FastHttpUser's CPU per request; the goal is {GOAL}; load {os.getloadavg()[0]:.1f}"
    )
    if share > GOAL:
        sys.exit("The goal is missed.")


def tell(name: str, result: dict[str, Any], truth: dict[str, float]) -> None:
    errors = "  ".join(
        f"{percentile} {result[percentile]:6.1f} of {truth[percentile]:6.1f} ms"
        for percentile in PERCENTILES
        if percentile in result
    )
    print(
        f"{name:13} {result['requests']:7} requests  {result['cpu_us']:6.0f} us CPU each  "
        f"{memory(result):24}  {errors or 'no percentiles'}"
    )


def memory(result: dict[str, Any]) -> str:
    """Ours and Locust's tell what came on top of the bare process; of the others the whole process is known."""
    if "whole_bytes" in result:
        return f"{result['whole_bytes'] / 1e6:.0f} MB for {result['sessions']:,} in all"
    return f"{result['rss_bytes'] / result['sessions'] * 1000 / 1e6:.1f} MB per 1,000"


@contextmanager
def answers() -> Iterator[str]:
    """The small server of known answers, in a process of its own."""
    command = [sys.executable, "-m", "loadtests.calibrating.known", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline() if process.stdout else "")["url"]
        finally:
            process.terminate()


# Those who hold sessions, each in a process of its own that says what it saw.


def sessions_of_ours(name: str, url: str, sessions: int, rate: int, seconds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.generators", "--as", name, url, str(sessions), str(rate), str(seconds)]
    out = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 120)
    return {"sessions": sessions, **json.loads(out.stdout.splitlines()[-1])}


def child(name: str, url: str, sessions: int, rate: int, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    before = _rss()
    if name == "ours":
        seen = _drive_ours(url, sessions, sessions / rate, seconds)
    else:
        seen = _drive_locust(
            {"FastHttpUser": FastHttpUser, "HttpUser": HttpUser}[name], url, sessions, sessions / rate, seconds
        )
    print(json.dumps({**seen, "rss_bytes": _rss() - before}))


def from_now_on(url: str) -> float:
    """Everybody has arrived: what was before is forgotten, here and by the server. The CPU time used until now."""
    urlopen(Request(urlsplit(url)._replace(path="/truth", query="").geturl(), method="POST")).read()
    return time.process_time()


def _drive_ours(url: str, sessions: int, think: float, seconds: int) -> dict[str, Any]:
    from loadtests.frames import Recorder
    from loadtests.sessions import Engine, seconds_since
    from loadtests.steps import Ending, Journey, Step, Think
    from loadtests.target import resolve

    parts = urlsplit(url)
    step = Step("step", "GET", f"{parts.path}?{parts.query}", headers={"User-Agent": "bench", "Accept": "*/*"})
    clock = seconds_since(time.time())
    recorder = Recorder(worker=1, clock=clock)
    engine = Engine(
        target=resolve(f"{parts.scheme}://{parts.netloc}"),
        recorder=recorder,
        request_timeout=30.0,
        connections=2,
        time_scale=1.0,
        expected={},
    )

    def journey() -> Journey:
        while True:
            yield step
            yield Think(think)

    for number in range(sessions):
        engine.begin(journey(), scenario="bench", intended=number / sessions * think, done=lambda ending: None)
    while clock() < think + 1:
        engine.turn(0.02)
    recorder.close_second(at=0, cpu=0.0, rss_bytes=0, connections=0)
    cpu, end = from_now_on(url), clock() + seconds
    while clock() < end:
        engine.turn(0.02)
    cpu = time.process_time() - cpu
    engine.leave_all(Ending.CUT_OFF)
    tally = recorder.frame.tallies["step"]
    return {"requests": tally.outcomes.total(), "cpu_seconds": cpu, **tally.service.summary()}


def _drive_locust(kind: Any, url: str, sessions: int, think: float, seconds: int) -> dict[str, Any]:
    import gevent

    parts = urlsplit(url)

    class Caller(kind):  # type: ignore[misc]
        host = f"{parts.scheme}://{parts.netloc}"
        wait_time = constant(think)

        @task  # type: ignore[untyped-decorator]
        def ask(self) -> None:
            self.client.get(f"{parts.path}?{parts.query}", name="step")

    locust.log.setup_logging("ERROR", None)
    runner = Environment(user_classes=[Caller]).create_local_runner()
    runner.start(sessions, spawn_rate=max(1, sessions / think))
    while runner.user_count < sessions:
        gevent.sleep(0.1)
    gevent.sleep(1 + think)
    runner.stats.reset_all()
    cpu = from_now_on(url)
    gevent.sleep(seconds)
    cpu = time.process_time() - cpu
    figures = runner.stats.get("step", "GET")
    seen = {f"p{share:g}": figures.get_response_time_percentile(share / 100) for share in (50, 95, 99)}
    return {"requests": figures.num_requests, "cpu_seconds": cpu, **seen}


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# Those who hold connections.


def wrk(name: str, url: str, sessions: int, rate: int, seconds: int) -> dict[str, Any]:
    held = max(2, round(rate * MEAN_SECONDS))
    out, used = _measured(["wrk", "-t1", f"-c{held}", f"-d{seconds}s", "--latency", url])
    found = {
        f"p{share}": float(value) * _UNITS[unit]
        for share, value, unit in re.findall(r"(\d+)%\s+([\d.]+)(us|ms|s)", out)
    }
    requests = re.search(r"(\d+) requests in", out)
    return {"sessions": held, "requests": int(requests[1]) if requests else 0, **used, **found}


def hey(name: str, url: str, sessions: int, rate: int, seconds: int) -> dict[str, Any]:
    held = max(2, round(rate * MEAN_SECONDS))
    out, used = _measured(["hey", "-c", str(held), "-z", f"{seconds}s", url])
    found = {f"p{share}": float(value) * 1e3 for share, value in re.findall(r"(\d+)%+ in ([\d.]+) secs", out)}
    requests = sum(int(count) for count in re.findall(r"\[200\]\s+(\d+) responses", out))
    return {"sessions": held, "requests": requests, **used, **found}


def tsung(name: str, url: str, sessions: int, rate: int, seconds: int) -> dict[str, Any]:
    parts = urlsplit(url)
    plan = TSUNG.format(
        host=parts.hostname,
        port=parts.port,
        path=f"{parts.path}?{parts.query}".replace("&", "&amp;"),
        seconds=seconds,
        arrivals=sessions,
        think=sessions / rate,
    )
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        (Path(folder) / "plan.xml").write_text(plan)
        _, used = _measured(["tsung", "-f", f"{folder}/plan.xml", "-l", folder, "start"], home=folder)
        counted = [
            int(n)
            for log in Path(folder).rglob("tsung.log")
            for n in re.findall(r"^stats: 200 \d+ (\d+)", log.read_text(), re.M)
        ]
    return {"sessions": sessions, "requests": max(counted, default=0), **used}


# Everybody arrives within the first thinking time and stays until the end.
TSUNG = """<?xml version="1.0"?>
<!DOCTYPE tsung SYSTEM "/usr/share/tsung/tsung-1.0.dtd">
<tsung loglevel="error" version="1.0">
  <clients><client host="localhost" use_controller_vm="true" maxusers="60000"/></clients>
  <servers><server host="{host}" port="{port}" type="tcp"/></servers>
  <load duration="{seconds}" unit="second">
    <arrivalphase phase="1" duration="{think:.0f}" unit="second">
      <users maxnumber="{arrivals}" arrivalrate="{arrivals}" unit="second"/>
    </arrivalphase>
  </load>
  <sessions><session name="bench" probability="100" type="ts_http">
    <for from="1" to="100000" var="n">
      <request><http url="{path}" method="GET"/></request>
      <thinktime value="{think:.0f}"/>
    </for>
  </session></sessions>
</tsung>
"""


def _measured(command: list[str], home: str = "/tmp") -> tuple[str, dict[str, Any]]:  # noqa: S108
    """What it says, and what it and its children used. The highest memory is of the largest of them."""
    environment = {**os.environ, "HOME": home}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    out = process.stdout.read() if process.stdout else ""
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    return out, {"cpu_seconds": used.ru_utime + used.ru_stime, "whole_bytes": used.ru_maxrss * 1024}


Run = Callable[[str, str, int, int, int], dict[str, Any]]
GENERATORS: dict[str, Run] = {
    "ours": sessions_of_ours,
    "FastHttpUser": sessions_of_ours,
    "HttpUser": sessions_of_ours,
    "wrk": wrk,
    "hey": hey,
    "tsung": tsung,
}


if __name__ == "__main__":
    if "--as" in sys.argv:
        child(sys.argv[2], sys.argv[3], *(int(value) for value in sys.argv[4:7]))
    else:
        main()
