"""What gave way first, from series of which is known what did. A run is 60 s; second 30 is when something begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loadtests.causes import gave_way

SECONDS = 60
BEGINS = 30
Series = list[float | None]


def rises(calm: float, then: float, *, at: int = BEGINS) -> Series:
    return [calm if second < at else then for second in range(SECONDS)]


def steady(value: float) -> Series:
    return rises(value, value)


def results(*, p95: Series | None = None, failures: Series | None = None, cpu: Series | None = None) -> dict[str, Any]:
    return {
        "series": {
            "p95": p95 or steady(20.0),
            "requests": steady(100.0),
            "failures": failures or steady(0.0),
            "cpu": cpu or steady(0.1),
            "in_flight": steady(5.0),
        },
        "errors": [],
        "generator": {"notes": {}},
    }


SLOW = results(p95=rises(20.0, 900.0))


def probes(*, groups: dict[str, Any] | None = None, host: Series | None = None, **gauges: Series) -> dict[str, Any]:
    """A calm machine of four cores, but for what is said. Gauges with `__` for the point."""
    calm = {"web": 0.4, "nginx": 0.1, "primary": 0.2, "replica1": 0.1, "redis": 0.05, "laboratory": 0.2}
    rows = {name: {"cpu": steady(value), "cpu_busiest": steady(value)} for name, value in calm.items()}
    rows["web"] |= {"processes": steady(5.0)}
    for name, figures in (groups or {}).items():
        rows[name] = {**rows[name], **figures}
    usual = {
        "web.busy": steady(2.0),
        "web.threads": steady(64.0),
        "web.backlog": steady(0.0),
        "mariadb.primary.threads_running": steady(3.0),
        "mariadb.primary.threads_connected": steady(40.0),
        "mariadb.primary.max_connections": steady(200.0),
        "mariadb.primary.connections_refused": steady(0.0),
        "mariadb.primary.questions": steady(500.0),
        "mariadb.primary.rows_scanned": steady(600.0),
        "mariadb.replica1.threads_running": steady(3.0),
        "nginx.active": steady(50.0),
        "nginx.limit": steady(36_000.0),
    }
    named = {name.replace("__", "."): series for name, series in gauges.items()}
    return {
        "at": list(range(SECONDS)),
        "groups": rows,
        "gauges": {**usual, **named},
        "host": {"cpu": host or steady(0.3), "cores": steady(4)},
    }


SCANNING = probes(
    groups={"primary": {"cpu": rises(0.2, 3.9)}, "web": {"cpu": rises(0.4, 0.6)}},
    mariadb__primary__threads_running=rises(3.0, 40.0),
    mariadb__primary__rows_scanned=rises(600.0, 9e6),
    web__busy=rises(2.0, 64.0, at=BEGINS - 2),  # its threads are seen to wait before the processors are seen to be full
    web__backlog=rises(0.0, 300.0),
)
LOCKED = probes(
    mariadb__primary__row_locks_waited_for=rises(0.0, 30.0), mariadb__primary__threads_running=rises(3.0, 33.0)
)
# The same query on a machine whose processors others have: it gets little, some of it waits for locks, and it is it.
STARVED = probes(
    groups={"primary": {"cpu": rises(0.1, 0.4)}},
    host=rises(0.3, 1.0),
    mariadb__primary__threads_running=rises(1.0, 33.0),
    mariadb__primary__row_locks_waited_for=rises(0.0, 9.0),
    mariadb__primary__rows_scanned=rises(600.0, 9e6),
)
REFUSING = probes(mariadb__primary__connections_refused=rises(0.0, 12.0))
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "primary": (SLOW, SCANNING, "primary cpu", "a query without an index"),
    "replica": (
        SLOW,
        probes(groups={"replica1": {"cpu": rises(0.1, 3.8)}}),
        "replica cpu",
        "replica1 used 3.8 of the machine's 4",
    ),
    "locks": (SLOW, LOCKED, "locks", "30 transactions"),
    "starved": (SLOW, STARVED, "primary cpu", "a query without an index"),
    "refused": (results(failures=rises(0.0, 40.0)), REFUSING, "connections", "database refused 12"),
    "edge full": (SLOW, probes(nginx__active=rises(50.0, 35_900.0)), "connections", "of the 36,000 connections"),
    "threads": (SLOW, probes(web__busy=rises(2.0, 63.5)), "workers", "of the 64 threads"),
    "web cpu": (SLOW, probes(groups={"web": {"cpu": rises(0.4, 3.7)}}), "workers", "used 3.7 of the machine's 4"),
    "cache": (SLOW, probes(groups={"redis": {"cpu_busiest": rises(0.1, 0.99)}}), "cache", "one thread for all"),
    "edge cpu": (SLOW, probes(groups={"nginx": {"cpu_busiest": rises(0.1, 0.99)}}), "edge", "nginx process used 99%"),
    "throttled": (
        {**results(failures=rises(0.0, 20.0)), "errors": [{"error": "status 429, expected 200"}]},
        probes(),
        "edge",
        "429",
    ),
    "queue": (results(), probes(outbox_overdue_seconds__sale=rises(0.0, 90.0)), "queue", "90 s"),
    "generator": (
        results(p95=rises(20.0, 900.0), cpu=rises(0.2, 0.97)),
        SCANNING,
        "generator",
        "97% of a processor core",
    ),
    "neighbours": (SLOW, probes(host=rises(0.3, 0.99)), "machine", "neither the target nor the laboratory"),
}


@pytest.mark.parametrize(("seen", "watched", "what", "evidence"), CASES.values(), ids=CASES)
def test_what_gave_way_is_named_with_its_second_and_its_evidence(
    seen: dict[str, Any], watched: dict[str, Any], what: str, evidence: str
) -> None:
    found = gave_way(results=seen, probes=watched)
    assert found is not None
    assert found["what"] == what
    assert found["since"] == BEGINS
    assert evidence in found["evidence"][0]


@pytest.mark.parametrize(("seen", "watched", "what", "evidence"), CASES.values(), ids=CASES)
def test_the_same_without_what_happened_is_nothing(
    seen: dict[str, Any], watched: dict[str, Any], what: str, evidence: str
) -> None:
    def calm(series: Any) -> Any:
        if isinstance(series, dict):
            return {name: calm(value) for name, value in series.items()}
        return series[:1] * SECONDS if isinstance(series, list) and series else series

    found = gave_way(results=calm(seen) | {"errors": []}, probes=calm(watched))
    assert found is not None
    assert (found["what"], found["since"], found["also"]) == ("nothing", None, [])
    assert "nearest to its end" in found["evidence"][0]
    assert all(sentence.startswith("In the busiest 5 seconds, ") for sentence in found["evidence"][1:])


def test_what_waits_outside_is_told_as_an_effect_of_what_is_used_up_inside() -> None:
    found = gave_way(results=SLOW, probes=SCANNING)
    assert found is not None
    assert {one["what"] for one in found["also"]} == {"workers"}
    # The same threads, with a primary that has nothing to do: then it was them.
    alone = probes(web__busy=rises(2.0, 64.0))
    assert (gave_way(results=SLOW, probes=alone) or {})["what"] == "workers"


def test_a_refusal_that_follows_is_not_what_began() -> None:
    late = {**SCANNING["gauges"], "mariadb.primary.connections_refused": rises(0.0, 9.0, at=BEGINS + 5)}
    found = gave_way(results=SLOW, probes={**SCANNING, "gauges": late})
    assert found is not None
    assert found["what"] == "primary cpu"
    early = {**SCANNING["gauges"], "mariadb.primary.connections_refused": rises(0.0, 9.0, at=BEGINS - 5)}
    assert (gave_way(results=SLOW, probes={**SCANNING, "gauges": early}) or {})["what"] == "connections"


def test_a_part_that_was_busy_long_before_is_not_blamed_for_what_began_later() -> None:
    busy = probes(
        groups={"web": {"cpu": rises(0.4, 3.7, at=0)}},
        mariadb__primary__connections_refused=rises(0.0, 12.0, at=BEGINS),
    )
    assert (gave_way(results=SLOW, probes=busy) or {})["what"] == "connections"
    alone = probes(groups={"web": {"cpu": rises(0.4, 3.7, at=0)}})
    assert (gave_way(results=SLOW, probes=alone) or {})["what"] == "workers"


def test_a_target_that_stands_still_has_no_slow_answers_and_is_in_trouble_all_the_same() -> None:
    still = results(p95=[20.0] * BEGINS + [None] * BEGINS)
    still["series"]["requests"] = rises(100.0, 0.0)
    assert (gave_way(results=still, probes=SCANNING) or {})["what"] == "primary cpu"
    still["series"]["in_flight"] = rises(5.0, 0.0)  # nobody waits: the run was over
    assert (gave_way(results=still, probes=SCANNING) or {})["what"] == "nothing"


def test_the_longest_trouble_is_the_runs_and_not_the_first_cold_seconds() -> None:
    cold = [700.0 if second < 4 else value for second, value in enumerate(rises(20.0, 900.0))]
    found = gave_way(results=results(p95=cold), probes=SCANNING) or {}
    assert (found["what"], found["since"]) == ("primary cpu", BEGINS)
    assert f"Visitors felt it from second {BEGINS}" in found["evidence"][-1]


def test_a_full_machine_speaks_of_who_filled_it_then_and_not_before() -> None:
    neighbours = probes(groups={"primary": {"cpu": rises(0.2, 2.0)}}, host=steady(0.99))
    found = gave_way(results=SLOW, probes=neighbours) or {}
    assert (found["what"], found["since"]) == ("primary cpu", BEGINS)
    assert found["also"][0]["what"] == "machine"


def test_a_refusal_on_a_machine_that_others_fill_is_the_refusal() -> None:
    found = gave_way(results=SLOW, probes={**REFUSING, "host": {"cpu": steady(0.99), "cores": steady(4)}}) or {}
    assert (found["what"], found["since"]) == ("connections", BEGINS)
    assert {one["what"] for one in found["also"]} == {"machine"}


def test_a_laboratory_that_takes_what_the_target_needs_is_the_machines_and_not_a_generators_end() -> None:
    """Two processes of 75 % each on two cores of which the target needs more than it gets."""
    crowding = probes(
        groups={"laboratory": {"cpu": rises(0.3, 1.5)}, "web": {"cpu": rises(0.3, 0.45)}}, host=rises(0.4, 0.98)
    )
    crowding["host"]["cores"] = steady(2)
    found = gave_way(results=results(p95=rises(20.0, 900.0), cpu=rises(0.2, 0.75)), probes=crowding) or {}
    assert (found["what"], found["since"]) == ("machine", BEGINS)
    assert "the laboratory itself used 1.5 of the machine's 2" in found["evidence"][0]
    at_its_end = results(p95=rises(20.0, 900.0), cpu=rises(0.2, 0.95))
    assert (gave_way(results=at_its_end, probes=crowding) or {})["what"] == "generator"


def test_a_hiccup_of_two_seconds_is_nothing() -> None:
    def hiccup(calm: float, high: float) -> Series:
        return [high if second in (BEGINS, BEGINS + 1) else calm for second in range(SECONDS)]

    found = gave_way(results=results(p95=hiccup(20, 900)), probes=probes(groups={"primary": {"cpu": hiccup(0.2, 3.9)}}))
    assert found is not None
    assert found["what"] == "nothing"


def test_trouble_that_nothing_explains_is_said_to_be_unknown() -> None:
    found = gave_way(results=SLOW, probes=probes())
    assert found is not None
    assert (found["what"], found["since"]) == ("unknown", BEGINS)
    assert "nothing that was watched was used up" in found["evidence"][0]
    unwatched = gave_way(results=SLOW, probes=None)
    assert unwatched is not None
    assert unwatched["what"] == "unknown"
    assert "was not watched" in unwatched["evidence"][0]


@pytest.mark.parametrize(("seen", "watched", "what", "evidence"), CASES.values(), ids=CASES)
def test_each_piece_of_evidence_is_a_sentence(
    seen: dict[str, Any], watched: dict[str, Any], what: str, evidence: str
) -> None:
    found = gave_way(results=seen, probes=watched)
    assert found is not None
    for sentence in [*found["evidence"], *(one for other in found["also"] for one in other["evidence"])]:
        assert sentence[0].isupper(), sentence
        assert sentence.endswith("."), sentence
        assert "unknown" not in sentence


def gaps(series: Series) -> Series:
    """Every other second was not learned, and from second 40 on none."""
    return [value if second % 2 == 0 and second < 40 else None for second, value in enumerate(series)]


def test_seconds_that_nobody_learned_are_not_taken_for_calm() -> None:
    primary = {"cpu": gaps(rises(0.2, 3.9))}
    found = gave_way(results=SLOW, probes=probes(groups={"primary": primary})) or {}
    assert (found["what"], found["since"]) == ("primary cpu", BEGINS)
    known: Series = [value if second < 55 else None for second, value in enumerate(rises(0.2, 3.9))]
    assert (gave_way(results=SLOW, probes=probes(groups={"primary": {"cpu": known}})) or {})["what"] == "primary cpu"


ODD: list[Callable[[], tuple[dict[str, Any] | None, dict[str, Any] | None]]] = [
    lambda: (results(p95=[None] * SECONDS), {"at": [], "groups": {}, "gauges": {}, "host": {}}),
    lambda: ({"series": {}}, None),
    lambda: ({"series": {"p95": [5.0], "requests": [1], "failures": [0], "cpu": [0.1]}}, probes()),
]


@pytest.mark.parametrize("odd", ODD)
def test_a_run_that_saw_little_is_nothing_and_never_an_error(odd: Callable[[], Any]) -> None:
    seen, watched = odd()
    assert (gave_way(results=seen, probes=watched) or {})["what"] == "nothing"


def test_a_run_that_measured_nothing_names_nobody() -> None:
    assert gave_way(results=None, probes=probes()) is None
