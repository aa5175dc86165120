"""When visitors began to be served worse, from series of which it is known. A run is 60 s; it begins at second 30."""

from __future__ import annotations

from typing import Any

import pytest

from loadtests.causes.trouble import began

SECONDS, BEGINS = 60, 30
Series = list[Any]


def rises(calm: Any, then: Any, *, at: int = BEGINS, to: int = SECONDS) -> Series:
    return [then if at <= second < to else calm for second in range(SECONDS)]


def run(*, steps: dict[str, dict[str, Series]] | None = None, **series: Series) -> dict[str, Any]:
    """Five times twenty requests a second, each answered in 20 ms, but for what is said."""
    calm = {"p95": [20.0] * SECONDS, "requests": [100] * SECONDS, "failures": [0] * SECONDS, "in_flight": [2] * SECONDS}
    return {"series": calm | series, "by_step": steps or {}}


def step(*, requests: Any = 5, wrong: Any = 0, p50: Any = 15.0, p95: Any = 30.0) -> dict[str, Series]:
    columns = {"requests": requests, "wrong": wrong, "p50": p50, "p95": p95, "p99": p95}
    return {name: value if isinstance(value, list) else [value] * SECONDS for name, value in columns.items()}


CASES = {
    "one step in twenty, of few": (
        run(steps={"signup.post": step(p50=rises(15.0, 640.0)), "signup.position": step(requests=95)}),
        "half of the answers to signup.post took longer than 115 ms, beside 15 ms",
    ),
    "a twentieth of a step of many": (
        run(steps={"signup.post": step(requests=50, p95=rises(30.0, 640.0))}),
        "one answer in twenty to signup.post took longer than 130 ms, beside 30 ms",
    ),
    "one step fails, of many that do not": (
        run(requests=[5_000] * SECONDS, failures=rises(0, 5), steps={"signup.post": step(wrong=rises(0, 5))}),
        "more than 1% of the requests of signup.post failed",
    ),
    "who suffers is not answered any more": (
        run(
            requests=[150] * SECONDS,
            in_flight=[2 if second < BEGINS else 20 * (second - BEGINS + 1) for second in range(SECONDS)],
            steps={"signup.post": step(requests=rises(5, 0), p50=rises(15.0, None), p95=rises(30.0, None))},
        ),
        "requests piled up, 20 waited for an answer at a time, beside 2",
    ),
    "all": (run(p95=rises(20.0, 640.0)), "one answer in twenty took longer than 120 ms, beside 20 ms"),
    "nobody is answered": (
        run(p95=rises(20.0, None), requests=rises(100, 0), in_flight=rises(2, 40)),
        "nobody was answered while 40 requests waited",
    ),
}


@pytest.mark.parametrize(("results", "said"), CASES.values(), ids=CASES)
def test_the_moment_is_found_and_said(results: dict[str, Any], said: str) -> None:
    found = began(results)
    assert found is not None
    assert abs(found[0] - BEGINS) <= 1  # twenty more in flight are the first second of being more and more
    assert said in found[1]


def calm(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: calm(part) for name, part in value.items()}
    return value[:1] * SECONDS


QUIET = {
    "a step that is odd now and then": run(
        steps={"signup.post": step(p50=[900.0 if second % 9 in (0, 1) else 15.0 for second in range(SECONDS)])}
    ),
    "the slowest of few": run(steps={"signup.post": step(p95=rises(30.0, 640.0))}),
    "a step that fails once": run(steps={"signup.post": step(wrong=rises(0, 1, to=BEGINS + 2))}),
    # A ramp: more visitors, each served as fast as the first.
    "more of everything": run(requests=[20 * at for at in range(SECONDS)], in_flight=list(range(SECONDS))),
    "a few more in flight for long": run(requests=[10] * SECONDS, in_flight=rises(0, 4)),
    "a second in which many are": run(in_flight=rises(2, 60, to=BEGINS + 2)),
}


@pytest.mark.parametrize("results", [*QUIET.values(), *(calm(results) for results, _ in CASES.values())])
def test_what_is_chance_or_more_load_is_no_trouble(results: dict[str, Any]) -> None:
    assert began(results) is None


def test_a_cold_second_before_it_is_not_its_beginning() -> None:
    cold = [700.0 if second in (BEGINS - 4, *range(BEGINS, SECONDS)) else 20.0 for second in range(SECONDS)]
    assert (began(run(p95=cold)) or (None,))[0] == BEGINS
