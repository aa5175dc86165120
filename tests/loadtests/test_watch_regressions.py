"""A schedule of comparisons: what it makes of their answers, which are given here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtests.actions import watch_regressions
from loadtests.comparison import comparing
from loadtests.comparison.compare import Answer, Comparison, Effect
from loadtests.plans import PlanMistake
from loadtests.target import TargetRefused
from tests.loadtests.small_sale import serving

SLOWER, OTHER, SAME, NOISY = (
    Comparison(answer, (Effect(name, 0.1, 0.05, 0.15, 0.01, 0.04, 0.01, answer),), 8, 0.05, ())
    for name, answer in (
        ("post p50", Answer.REGRESSION),
        ("landing p50", Answer.REGRESSION),
        ("post p50", Answer.EQUAL),
        ("post p50", Answer.CANNOT_TELL),
    )
)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Runs the action with these answers, one for each comparison; gives its exit code and the lines it wrote."""

    def watch(*answers: Comparison | Exception, times: int = 1) -> tuple[int, list[dict[str, Any]]]:
        left: Iterator[Comparison | Exception] = iter(answers)

        def compared(*_: object, **__: object) -> Comparison:
            answer = next(left)
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(watch_regressions.compare, "compared", compared)
        options = {
            **dict.fromkeys(("time_scale", "timeout", "limit", "environment", "allow_host", "b", "rate")),
            **{"plan": "signup", "a": sale.url, "plan_b": "small-signup", "seed": 1, "blocks": 8},
            **{"seconds": 5.0, "margin": 0.05, "every": 0.001, "times": times, "run_dir": tmp_path / "watch"},
        }
        code = watch_regressions.handle(options, Console(quiet=True))
        assert next(left, None) is None, "fewer comparisons were made"
        return code, [json.loads(line) for line in (tmp_path / "watch" / "watch.jsonl").read_text().splitlines()]

    with serving() as sale:
        yield watch


def test_one_regression_alone_is_no_alarm(watched: Any) -> None:
    code, lines = watched(SLOWER, SAME)
    assert code == 0
    assert [line["answer"] for line in lines] == ["regression", "equal within margin"]
    assert [line["comparison"] for line in lines] == ["0001", "0001-again"]


def test_the_same_figure_twice_is_an_alarm_and_another_one_is_not(watched: Any) -> None:
    assert watched(SLOWER, SLOWER)[0] == 1


def test_another_figure_the_second_time_is_none(watched: Any) -> None:
    assert watched(SLOWER, OTHER)[0] == 0


def test_the_schedule_goes_on_until_something_is_found(watched: Any) -> None:
    code, lines = watched(SAME, NOISY, TargetRefused("it is down"), SLOWER, SLOWER, times=9)
    assert code == 1
    assert [line["answer"] for line in lines][:3] == ["equal within margin", "cannot tell", None]


@pytest.mark.parametrize("answer", [NOISY, TargetRefused("it is down"), comparing.Unbelievable("tired")])
def test_what_could_not_tell_does_not_pass(watched: Any, answer: Comparison | Exception) -> None:
    assert watched(answer)[0] == 3


def test_a_schedule_without_time_in_between_is_refused() -> None:
    with pytest.raises(PlanMistake, match="--every"):
        watch_regressions.handle({"every": 0, "times": 1}, Console(quiet=True))
