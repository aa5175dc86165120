from pathlib import Path
from typing import Any

import pytest

from loadtests.planning import plan_files, plan_text
from loadtests.planning.curves import KINDS
from loadtests.plans import PlanMistake

HOST = "http://127.0.0.1:8000"
GOOD = """\
intention = "to see"
users = 600
limits = [
    "failed == 0",
    "p99(signup.post) < 250ms over 10s",
]

[mix]
signup = 3
browse = 1

[shape]
kind = "poisson"
rate = 10
"""


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_a_file_is_a_plan(plan_file: Path) -> None:
    plan_file.write_text(GOOD)
    plan = plan_files.read(plan_file)
    assert (plan.name, plan.users, plan.rate, plan.mix) == ("mine", 600, 10, {"signup": 3, "browse": 1})
    assert plan.limits[1] == "p99(signup.post) < 250ms over 10s"
    assert plan.shape.seconds == 60


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("users = 600", "users = 0", 2, "users must be from 1"),
        ("users = 600", 'users = "600"', 2, "users must be a whole number"),
        ("users = 600", "users = true", 2, "users must be a whole number"),
        ("users = 600", "user = 600", 2, "did you mean users?"),
        ("users = 600", "users = 600 people", 2, "no TOML"),
        ("250ms", "250", 5, "needs us or ms or s"),
        ("browse = 1", "browse = nan", 10, "needs a weight above 0"),
        ("browse = 1", "brows = 1", 10, "names 'brows'"),
        ("signup = 3\nbrowse = 1", "", 8, "names no scenario"),
        ('"poisson"', '"tide"', 13, "kind must be one of"),
        ("rate = 10", "rate = -1", 14, "rate must be a number above 0"),
        ("rate = 10", "rate = 10\nseconds = 5", 14, "one of them"),
        ("rate = 10", "rate = 10\npeak = 5", 15, "peak is nothing that poisson knows"),
        ("rate = 10", "", 12, "rate or seconds"),
        ("intention", "time_scale = 11\nintention", 1, "time_scale must be above 0"),
        ("browse = 1", f"browse = {'9' * 5000}", 10, "too long"),
        ("browse = 1", f"browse = {'[' * 5000}", 10, "brackets"),
        ("users = 600", f"users = 600\nseed = 0x{'f' * 5000}", 3, "seed must have"),
        ("[mix]", "[mixture]", 8, "mixture is nothing a plan has"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_reason(
    plan_file: Path, before: str, after: str, line: int, reason: str
) -> None:
    assert before in GOOD
    plan_file.write_text(GOOD.replace(before, after, 1))
    with pytest.raises(PlanMistake) as refused:
        plan_files.read(plan_file)
    assert str(refused.value).startswith(f"{plan_file}:{line}: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"", b"x" * (plan_files.LARGEST_BYTES + 1), b"mix = {signup = 1}"])
def test_what_is_no_plan_is_a_mistake_and_nothing_worse(plan_file: Path, raw: bytes) -> None:
    plan_file.write_bytes(raw)
    with pytest.raises(PlanMistake, match=str(plan_file)):
        plan_files.read(plan_file)


def test_a_file_that_is_not_there_or_is_a_folder_is_a_mistake(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(PlanMistake, match="cannot be read"):
            plan_files.read(path)


@pytest.mark.parametrize("name", plan_files.reference())
def test_reference_plans_can_be_run_shrunk_and_written_down(name: str, tmp_path: Path) -> None:
    plan = plan_files.chosen(name, default_host=HOST)
    assert plan.intention
    small = plan_files.chosen(name, default_host=HOST, users=50, time_scale=0.01)
    assert len(small.arrivals()) == 50
    assert small.hard_stop_seconds < plan.hard_stop_seconds
    (tmp_path / "plan.toml").write_text(plan_text.as_toml(plan))
    assert plan_files.read(tmp_path / "plan.toml") == plan


def test_a_file_to_begin_with_says_its_rate_and_nothing_that_is_so_by_default() -> None:
    text = plan_text.as_toml(plan_files.chosen("signup", default_host=""), brief=True)
    assert text == 'users = 100\n\n[mix]\n"signup" = 1.0\n\n[shape]\nkind = "poisson"\nrate = 1.6666666666666667\n'
    faster = plan_files.parsed(text.replace("1.6666666666666667", "50"), name="mine", folder=Path())
    assert (faster.users, faster.rate) == (100, 50)


def test_the_case_studies_are_what_they_were() -> None:
    one, two = (plan_files.chosen(f"case-study-{name}", default_host=HOST) for name in ("one", "two"))
    assert (one.users, one.rate, one.shape.seconds) == (30_000, 50, 600)
    assert two.rate * 60 == 600


def test_a_command_line_means_a_scenario_a_plan_by_name_or_a_path(plan_file: Path) -> None:
    plan_file.write_text(GOOD)
    assert plan_files.chosen("signup", default_host=HOST).users == 100
    assert plan_files.chosen(str(plan_file), default_host=HOST, seed=9).seed == 9
    with pytest.raises(PlanMistake, match=r"did you mean small-signup\?"):
        plan_files.chosen("smal-signup", default_host=HOST)
    with pytest.raises(PlanMistake, match="--time-scale"):
        plan_files.chosen("small-signup", default_host=HOST, time_scale=0.0)


def test_the_host_is_the_command_lines_then_the_plans_then_the_settings(plan_file: Path) -> None:
    plan_file.write_text(f'host = "http://127.0.0.1:1"\n{GOOD}')
    assert plan_files.chosen(str(plan_file), default_host=HOST).host == "http://127.0.0.1:1"
    assert plan_files.chosen(str(plan_file), default_host=HOST, host="http://127.0.0.1:2").host.endswith(":2")
    assert plan_files.chosen("signup", default_host=HOST).host == HOST


@pytest.mark.parametrize("text", ['a "quoted" \\ one', "two\nlines", "täglich", "tab\tand \x01"])
def test_any_text_can_be_written_down(text: str, tmp_path: Path) -> None:
    plan = plan_files.chosen("small-signup", default_host=HOST, intention=text)
    assert plan_files.parsed(plan_text.as_toml(plan), name="x", folder=tmp_path).intention == text


SHAPES: dict[str, tuple[str, int, float]] = {
    "poisson": ("rate = 2\nseconds = 50", 100, 50),
    "constant": ("rate = 2\nseconds = 50", 100, 50),
    "ramp": ("from = 0\nto = 10\nseconds = 60\nhold = 30", 600, 90),
    "staircase": ("from = 1\nstep = 2\nsteps = 3\nseconds = 10", 90, 30),
    "spike": ("rate = 1\npeak = 10\nat = 20\nwidth = 5\nseconds = 60", 105, 60),
    "recorded": ("points = [[0, 0], [10, 4], [20, 4]]", 60, 20),
}


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"burst"}))
def test_every_kind_of_shape_brings_as_many_as_its_area(kind: str, plan_file: Path) -> None:
    table, users, seconds = SHAPES[kind]
    plan_file.write_text(f'mix = {{signup = 1}}\n[shape]\nkind = "{kind}"\n{table}\n')
    plan = plan_files.read(plan_file)
    moments = plan.moments()
    assert (plan.users, len(moments), plan.shape.seconds) == (users, users, seconds)
    assert moments == sorted(moments)
    assert 0 <= moments[0] <= moments[-1] <= seconds


def test_a_burst_is_all_of_them_at_once_as_often_as_said(plan_file: Path) -> None:
    burst = 'users = 9\nmix = {signup = 1}\n[shape]\nkind = "burst"\n'
    plan_file.write_text(burst)
    assert plan_files.read(plan_file).moments() == [0.0] * 9
    plan_file.write_text(f"{burst}times = 3\nevery = 60\nspacing = 'constant'\n")
    assert plan_files.read(plan_file).moments() == [0.0] * 3 + [60.0] * 3 + [120.0] * 3


def test_a_ramp_brings_few_at_first_and_many_at_last(plan_file: Path) -> None:
    plan_file.write_text(
        'mix = {signup = 1}\n[shape]\nkind = "ramp"\nfrom = 0\nto = 20\nseconds = 100\nspacing = "constant"\n'
    )
    moments: list[Any] = plan_files.read(plan_file).moments()
    # The area to t is t² / 10, so person n comes at the root of 10 n.
    assert moments == pytest.approx([(10 * person) ** 0.5 for person in range(1000)])


def test_users_beside_a_curve_that_says_how_many_are_refused(plan_file: Path) -> None:
    table = SHAPES["ramp"][0]
    plan_file.write_text(f'mix = {{signup = 1}}\nusers = 5\n[shape]\nkind = "ramp"\n{table}\n')
    with pytest.raises(PlanMistake, match=r":2: users follows from the shape: this ramp brings 600"):
        plan_files.read(plan_file)
