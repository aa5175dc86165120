"""The threads of a run's probes, their lines, and the series that are made of them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadtests import probes
from loadtests.beside import Running
from loadtests.probes import counted, metrics, parts, servers
from loadtests.probes.rates import Rates
from loadtests.probes.series import series
from loadtests.target import Target
from tests.deadline import until
from tests.served import served


@dataclass
class Moody:
    """A reader that answers, fails, and answers again, as it is told."""

    name: str = "moody"
    fails: bool = False
    looks: int = 0

    def read(self) -> dict[str, Any]:
        self.looks += 1
        if self.fails:
            raise RuntimeError("nobody at home")
        return {"gauges": {"moody.looks": self.looks}}

    def close(self) -> None:
        self.looks = -1


@dataclass
class Run:
    run_dir: Path
    events: list[str] = field(default_factory=list)

    def running(self, target: Target) -> Running:
        began = time.time() - 100.9  # its second 100 ends in a moment
        plan: Any = None  # which no probe looks at
        return Running("run", self.run_dir, plan, target, began, lambda why: None, lambda why: None, self.events.append)

    @property
    def lines(self) -> list[dict[str, Any]]:
        file = self.run_dir / probes.FILE
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


NOBODY = Target("http", "127.0.0.1", 1, "127.0.0.1")


def started(run: Run, monkeypatch: pytest.MonkeyPatch, *readers: Any, target: Target = NOBODY) -> probes.Probes:
    if readers:
        monkeypatch.setattr(probes, "readers", lambda found: list(readers))
    beside = probes.Probes()
    beside.start(run.running(target))
    return beside


def test_a_reader_that_fails_leaves_gaps_is_told_of_once_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, moody, steady = Run(tmp_path), Moody(), Moody("steady")
    beside = started(run, monkeypatch, moody, steady)
    until(lambda: run.lines, "a first line")
    moody.fails = True
    missed = moody.looks
    until(lambda: moody.looks >= missed + 2, "two looks that fail")
    moody.fails = False
    until(lambda: len(run.events) == 2, "it answers again")
    beside.stop()
    assert run.events == ["moody does not answer: RuntimeError: nobody at home", "moody answers again"]
    assert (moody.looks, steady.looks) == (-1, -1)  # closed
    assert min(line["at"] for line in run.lines) == 100
    assert {threads.is_alive() for threads in beside._threads} == {False}


def test_a_folder_that_takes_no_more_lines_ends_the_probes_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    (tmp_path / probes.FILE).mkdir()  # where no line can be added, not even by root
    beside = started(run, monkeypatch, Moody())
    until(lambda: run.events, "it is said")
    beside.stop()
    assert run.events == ["probe moody: cannot be written down: Is a directory"]


def test_a_target_where_nobody_listens_is_probed_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(tmp_path)
    started(run, monkeypatch).stop()
    assert (run.lines, run.events, counted.read(tmp_path), probes.read(tmp_path)) == ([], [], None, None)


def test_lines_become_series_with_gaps_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    lines = [
        {"at": 0, "groups": {"web": {"cpu": None}}, "host": {"cpu": 0.5}},
        {"at": 2, "groups": {"web": {"cpu": 0.7}}, "gauges": {"redis.clients": 8.0}},
    ]
    (tmp_path / probes.FILE).write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"at": 3, "gau')
    assert probes.read(tmp_path) == {
        "at": [0, 1, 2],
        "groups": {"web": {"cpu": [None, None, 0.7]}},
        "gauges": {"redis.clients": [None, None, 8.0]},
        "host": {"cpu": [0.5, None, None]},
    }
    assert series([]) is None


def test_a_counter_has_a_rate_from_its_second_look_and_none_where_it_began_anew() -> None:
    rates = Rates()
    assert rates.of({"asked": 100.0}, at=10.0) == {}
    assert rates.of({"asked": 130.0, "new": 5.0}, at=12.0) == {"asked": 15.0}
    assert rates.of({"asked": 3.0, "new": 5.0}, at=13.0) == {"new": 0.0}
    assert rates.of({"asked": 4.0}, at=13.0) == {}


def test_what_nginx_says_of_itself_is_read_and_other_pages_are_not() -> None:
    body = b"Active connections: 291 \nserver accepts handled requests\n 16630948 16630940 31070465 \n"
    assert servers.stub_status(body + b"Reading: 6 Writing: 179 Waiting: 106 \n") == (
        *(291, 16630948, 16630940, 31070465),
        *(6, 179, 106),
    )
    with pytest.raises(ValueError, match="no stub_status"):
        servers.stub_status(b"<h1>404</h1>")


class Telling(BaseHTTPRequestHandler):
    """The metrics of a target on another machine: ten requests more at each look, one of them a watcher's."""

    looks = 0

    def do_GET(self) -> None:
        type(self).looks += 1
        labels = 'method="GET",outcome="2xx"'
        body = f"""# TYPE stampede_request_seconds histogram
stampede_request_seconds_count{{{labels},route="shop:home"}} {self.looks * 9}.0
stampede_request_seconds_sum{{{labels},route="shop:home"}} {self.looks * 4}.0
stampede_request_seconds_count{{{labels},route="metrics"}} {self.looks}.0
stampede_request_seconds_sum{{{labels},route="metrics"}} 0.0
# TYPE stampede_outbox_messages gauge
stampede_outbox_messages{{outbox="sale",state="pending"}} 7.0
""".encode()
        self.send_response(200 if self.path == "/metrics" else 404)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nobody reads it."""


def test_a_target_on_another_machine_is_seen_through_its_metrics_alone() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Telling)
    with served(server):
        (reader,) = probes.readers(parts.elsewhere(f"http://127.0.0.1:{server.server_port}/metrics"))
        assert isinstance(reader, metrics.Application)
        ticks = iter((10.0, 12.0))
        reader.clock = lambda: next(ticks)
        assert reader.read()["gauges"] == {"outbox.sale.pending": 7.0}
        rates = {"web.requests": 4.5, "web.failed": 0.0, "web.busy": 2.0}
        assert reader.read()["gauges"] == {**rates, "outbox.sale.pending": 7.0}


def test_where_the_metrics_of_another_machine_are_can_be_said(settings: Any) -> None:
    target = Target("https", "sale.example.org", 443, "192.0.2.7")
    assert probes.find(target) == parts.elsewhere("https://sale.example.org:443/metrics")
    settings.LOAD_METRICS = urlsplit("http://10.0.1.4:8081/metrics")
    assert probes.find(target) == parts.elsewhere("http://10.0.1.4:8081/metrics")


def test_what_was_counted_is_the_difference_and_nothing_when_the_target_began_anew() -> None:
    before = counted.Count("application", 10, {"home GET 2xx": 10})
    after = counted.Count("application", 25, {"home GET 2xx": 10, "home GET 5xx": 3, "signup POST 2xx": 12})
    grown = counted.Count("application", 15, {"home GET 5xx": 3, "signup POST 2xx": 12})
    assert counted.between(before, after) == grown
    assert counted.between(after, before) is None
    assert counted.between(None, after) is None
    assert counted.between(before, counted.Count("edge", 25)) is None


def test_a_replica_is_as_old_as_the_last_moment_whose_every_write_it_holds() -> None:
    moments, positions = iter((10.0, 11.0, 12.0)), iter(("0-1-5", "0-1-9", "0-1-9"))

    @dataclass
    class Primary(servers.MariaDB):
        def position(self) -> str:
            return next(positions)

    lag = servers.Lag(Primary("primary", "mysql://nobody@nowhere/"), clock=lambda: next(moments))
    lag.look()
    assert lag.of("0-1-4") is None  # it is behind everything that was seen
    assert lag.of("0-1-5") == 0.0
    lag.look()
    assert lag.of("0-1-8") == 1.0
    assert lag.of("0-1-12") == 0.0  # it holds more than the primary was seen with
    lag.look()
    assert lag.of("0-1-8") == 2.0
    assert lag.of("0-1-9") == 0.0
