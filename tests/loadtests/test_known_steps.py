"""A limit on a step that nobody takes is refused when the plan is read."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.limits import parse
from loadtests.planning import known_steps, plan_files
from loadtests.plans import PlanMistake
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.visitor import Visitor

NAMED = re.compile(r'self\.(?:named|public_page|own_page|shop_page|enter)\(\s*"(\w+)"|"(?:signup|purchase)\.(\w+)"')
CALLED = re.compile(r"\bself\.(\w+)")
CALLED_BY_CLASS = re.compile(r"\b([A-Z]\w+)\.(\w+)\(self\)")


def sources(scenario: type[Visitor]) -> Iterator[str]:
    """Of the journey and of all that it calls."""
    classes = {each.__name__: each for each in scenario.__mro__}
    todo: list[object] = [scenario.journey]
    seen: set[object] = set()
    while todo:
        method = todo.pop()
        if not inspect.isfunction(method) or method in seen:
            continue
        seen.add(method)
        source = inspect.getsource(method)
        todo += [getattr(scenario, name, None) for name in CALLED.findall(source)]
        todo += [getattr(classes.get(owner), name, None) for owner, name in CALLED_BY_CLASS.findall(source)]
        yield source


@pytest.mark.parametrize("name", known_steps.STEPS)
def test_the_steps_of_each_scenario_are_those_in_its_code(name: str) -> None:
    found = {one or other for source in sources(SCENARIOS[name]) for one, other in NAMED.findall(source)}
    assert found == known_steps.STEPS[name]


def test_every_scenario_has_its_steps_but_replay_whose_kinds_are_in_a_file() -> None:
    assert set(known_steps.STEPS) == set(SCENARIOS) - {"replay"}


@pytest.mark.parametrize("text", ["p99(signup.psot) < 1s", "failed(buyer.*) == 0", "rate(sign.post) > 1/s"])
def test_what_nobody_takes_is_named(text: str) -> None:
    assert "no visitor of this plan takes" in known_steps.unmatched(parse(text), ["signup"])


@pytest.mark.parametrize(
    "text", ["p99 < 1s", "p99(signup.*) < 1s", "p99(*.post) < 1s", "p95(resource.css) < 1s", "cpu(web) < 70%"]
)
def test_what_somebody_may_take_is_not(text: str) -> None:
    assert known_steps.unmatched(parse(text), ["signup"]) == ""


def test_a_plan_with_such_a_limit_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('users = 5\nlimits = [\n  "failed == 0",\n  "p99(signup.psot) < 1s",\n]\n')
    path.write_text(path.read_text() + '[mix]\nsignup = 1\n[shape]\nkind = "poisson"\nrate = 1\n')
    with pytest.raises(PlanMistake, match=r"mine\.toml:4:.*did you mean signup\.post\?"):
        plan_files.read(path)
