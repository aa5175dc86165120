"""A generator is certified for what it measured truly, and for nothing beyond."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.calibrating import calibration, certificate, known_server
from loadtests.calibrating.calibration import Certified, Rung, climb, gave_way

TRUE = Rung(
    rate=1_000.0,
    sessions=1_000,
    seconds=8,
    reached=996.0,
    cpu=0.3,
    late_p99_ms=3.0,
    lag_p99_ms=1.0,
    measured_ms=(20.5, 45.9, 63.9),
    true_ms=(20.3, 45.5, 63.5),
    failed=80,
    programmed=80,
    notes=(),
    server_cpu=0.1,
    rss_bytes=30_000_000,
)


def test_what_agrees_with_the_truth_holds() -> None:
    assert gave_way(TRUE) is None
    assert gave_way(replace(TRUE, measured_ms=(20.5, 45.9, 64.7))) is None  # 1.2 ms of 63.5 are less than 2 %
    assert gave_way(replace(TRUE, rate=20.0, seconds=4, reached=16.0)) is None  # 64 requests of 80, by chance


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"measured_ms": (21.4, 45.9, 63.9)}, "p50 is +1.1 ms off a true 20.3 ms"),
        ({"measured_ms": (20.5, 45.9, 61.0)}, "p99 is -2.5 ms off"),  # too fast is as wrong
        ({"measured_ms": ()}, "0 percentiles were measured"),
        ({"cpu": 0.95}, "took 95% of a core"),
        ({"reached": 900.0}, "900 of 1000 requests/s"),
        ({"late_p99_ms": 150.0}, "late starts is 150 ms"),
        ({"failed": 81}, "81 requests failed, 80 were to"),
        ({"notes": ("out of ports",)}, "it was out of ports"),
    ],
)
def test_what_gave_way_is_named(changes: dict[str, object], reason: str) -> None:
    assert reason in str(gave_way(replace(TRUE, **changes)))  # type: ignore[arg-type]


def a_generator(*, most_rate: float, most_sessions: int, tried: list[tuple[float, int]]) -> calibration.Measure:
    """One that tells the truth up to here, and late answers beyond."""

    def measure(rate: float, sessions: int) -> Rung:
        tried.append((rate, sessions))
        beyond = rate > most_rate or sessions > most_sessions
        late = (25.0, 60.0, 90.0) if beyond else TRUE.measured_ms
        return replace(TRUE, rate=rate, sessions=sessions, reached=rate, measured_ms=late)

    return measure


def test_the_climb_finds_what_a_generator_can_do() -> None:
    tried: list[tuple[float, int]] = []
    measure = a_generator(most_rate=3_100, most_sessions=6_000, tried=tried)
    said: list[Rung] = []
    found = climb(measure, processes=1, most_rate=16_000, most_sessions=10_000, said=said.append)
    assert found == Certified(rate=3_000.0, sessions=5_000)  # 2,000 | 4,000, 3,000, 3,500; 5,000 | 10,000, 7,500
    assert [rate for rate, _ in tried].count(4_000.0) == 2  # one that gives way is tried once more
    assert len(said) == len(set(tried))


def test_a_generator_that_gives_way_at_once_gets_nothing() -> None:
    measure = a_generator(most_rate=1, most_sessions=1, tried=[])
    assert climb(measure, processes=1, most_rate=16_000, most_sessions=10_000, said=lambda rung: None) is None


def test_one_that_never_gives_way_is_certified_for_what_was_tried() -> None:
    measure = a_generator(most_rate=1e9, most_sessions=10**9, tried=[])
    found = climb(measure, processes=2, most_rate=2_300, most_sessions=44_000, said=lambda rung: None)
    assert found == Certified(rate=2_300.0, sessions=44_000)


def test_a_certificate_is_for_one_host_and_one_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert certificate.read(tmp_path) is None
    certificate.write(tmp_path, rate=3_000.0, sessions=5_000, processes=1, at="2026-11-21", rungs=[TRUE.as_json()])
    found = certificate.read(tmp_path)
    assert found is not None
    assert (found["rate"], found["sessions"], found["processes"]) == (3_000.0, 5_000, 1)
    with monkeypatch.context() as patch:
        patch.setattr(certificate, "_engine", lambda: "changed since")
        assert certificate.read(tmp_path) is None
    raw = json.loads((tmp_path / certificate.FILE).read_text())
    (tmp_path / certificate.FILE).write_text(json.dumps({**raw, "bearer": {**raw["bearer"], "cpus": 1_000}}))
    assert certificate.read(tmp_path) is None
    (tmp_path / certificate.FILE).write_text("{torn")
    assert certificate.read(tmp_path) is None


@pytest.mark.process
def test_a_rung_is_really_driven() -> None:
    """Nothing is claimed of how exact it was: the machine that tests may be busy."""
    with known_server.running() as server:
        found = calibration.measured(server, rate=100, sessions=40, processes=2, seconds=2)
        truth = server.truth()["by"]["known"]
    assert (found.sessions, found.seconds, found.notes) == (40, 2, ())
    assert found.failed == found.programmed == truth["answers"].get("503", 0)
    assert len(found.measured_ms) == len(found.true_ms) == 3
    assert found.measured_ms[0] >= found.true_ms[0] * 0.9 > 10.0
    assert found.reached > 0
    assert found.rss_bytes > 2 * 10_000_000
