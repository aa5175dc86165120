"""Plans as files: TOML, read with every mistake named by file, line and reason, and written so that a run can be run
again. Reference plans lie in `loadtests/reference_plans/` and are called by their name."""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loadtests.planning.curves import shape as shape_of
from loadtests.planning.plan_text import line_of
from loadtests.plans import SCENARIOS, Plan, PlanMistake, make, of_option
from loadtests.shapes import ShapeMistake

REFERENCE = Path(__file__).parent.parent / "reference_plans"
LARGEST_BYTES = 1 << 20
DEFAULT_USERS = 100
FILES = ("log", "kinds", "urls")  # of a plan
_DIGITS, _BRACKETS = re.compile(r"[\d_]+"), re.compile(r"[\[{ ]+")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


def reference() -> dict[str, Path]:
    return {file.stem: file for file in sorted(REFERENCE.glob("*.toml"))}


def chosen(what: str, *, default_host: str, host: str | None = None, users: int | None = None, **options: Any) -> Plan:
    """The plan that a command line means by `what`: a scenario, a reference plan, or the path of a file. The default
    host is for plans that name none. Of the options, named as in `Plan` and `Plan.changed`, None leaves what the plan
    says. Raises `PlanMistake`."""
    if what in SCENARIOS:
        return _of_scenario(what, host or default_host, users, options)
    files = reference()
    if what not in files and not (what.endswith(".toml") or "/" in what):
        near = difflib.get_close_matches(what, [*SCENARIOS, *files], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise PlanMistake(what, f"is neither a scenario ({', '.join(SCENARIOS)}) nor a plan ({', '.join(files)}){hint}")
    options |= {file: str(Path(options[file]).resolve()) for file in FILES if options.get(file)}
    plan = read(files.get(what, Path(what)))
    try:
        return plan.changed(users=users, host=host or plan.host or default_host, **options)
    except PlanMistake as mistake:
        raise of_option(mistake) from mistake


def _of_scenario(what: str, host: str, users: int | None, options: dict[str, Any]) -> Plan:
    given = {name: value for name, value in options.items() if value is not None}
    given |= {file: str(Path(given[file]).resolve()) for file in FILES if file in given}
    defaults: dict[str, Any] = {"rate": None, "duration": None, "arrivals": "poisson", "time_scale": 1.0, "seed": 1}
    values = {**defaults, "host": host, **given}
    return make(scenario=what, users=DEFAULT_USERS if users is None else users, **values)


def read(path: Path) -> Plan:
    """Raises `PlanMistake`, whose text begins with the file and, where there is one, the line."""
    text = _text(path)
    try:
        return parsed(text, name=re.sub(r"[^\w.-]+", "-", path.stem, flags=re.ASCII), folder=path.parent)
    except _Mistake as mistake:
        where = f"{path}:{mistake.line}:" if mistake.line else f"{path}:"
        raise PlanMistake(where, str(mistake)) from mistake


def parsed(text: str, *, name: str, folder: Path) -> Plan:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = _AT_LINE.search(str(error))
        raise _Mistake(
            int(at[1]) if at else text.count("\n") + 1, f"no TOML: {_AT_LINE.sub('', str(error))}"
        ) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise _Mistake(_line_of_most(text, _DIGITS), "has a number that is too long") from error
    except RecursionError as error:
        raise _Mistake(_line_of_most(text, _BRACKETS), "has brackets in brackets beyond measure") from error
    try:
        return _plan(table, name=name, folder=folder)
    except ShapeMistake as mistake:
        path = ("users",) if mistake.key == "users" else ("shape", mistake.key)
        raise _Mistake(line_of(text, path), f"{path[-1]} {mistake}") from mistake
    except PlanMistake as mistake:
        raise _Mistake(_line_of_mistake(text, mistake), str(mistake)) from mistake


def _line_of_most(text: str, what: re.Pattern[str]) -> int:
    """The line with the longest of it."""
    lines = list(enumerate(text.splitlines(), 1))
    return max(lines, key=lambda line: max((len(found) for found in what.findall(line[1])), default=0))[0]


class _Mistake(Exception):
    def __init__(self, line: int | None, why: str) -> None:
        super().__init__(why)
        self.line = line


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
        if len(raw) > LARGEST_BYTES:
            raise PlanMistake(f"{path}:", "is larger than 1 MB; that is no plan")
        return raw.decode()
    except OSError as error:
        raise PlanMistake(f"{path}:", f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise PlanMistake(f"{path}:{line}:", "is not UTF-8") from error


def _plan(table: dict[str, Any], *, name: str, folder: Path) -> Plan:
    for key, value in table.items():
        if key not in FIELDS:
            near = difflib.get_close_matches(key, FIELDS, 1)
            raise PlanMistake(key, f"is nothing a plan has{f'; did you mean {near[0]}?' if near else ''}")
        what, fits = FIELDS[key]
        if not fits(value):
            raise PlanMistake(key, f"must be {what}")
    if "mix" not in table:
        raise PlanMistake("mix", "is missing: which scenarios, as in `mix = {signup = 1}`")
    if "shape" not in table:
        raise PlanMistake("shape", 'is missing: when visitors arrive, as in `shape = {kind = "poisson", rate = 50}`')
    curve = shape_of(table["shape"], users=table.get("users"))
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    for file in FILES:
        if values.get(file):
            values[file] = str((folder / values[file]).resolve())  # beside the plan, wherever it is run from
    users = table["users"] if "users" in table else max(1, round(curve.people))
    return Plan(**{"name": name, **values, "users": users, "shape": curve})


def _line_of_mistake(text: str, mistake: PlanMistake) -> int | None:
    """A limit or scenario that the reason quotes is looked for by itself: many of them stand below one key."""
    begin = line_of(text, (mistake.key,))
    for quoted in re.findall(r"'([^']+)'", mistake.why):
        for at, line in enumerate(text.splitlines()[(begin or 1) - 1 :], begin or 1):
            if quoted in line:
                return at
    return begin


Fits = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_number, value.values()))


_NUMBER, _WHOLE, _TEXT = ("a number", _is_number), ("a whole number", _is_whole), ("a text in quotes", _is_text)
_TEXTS: tuple[str, Fits] = ("a list of texts in quotes", _are_texts)
_NUMBERS: tuple[str, Fits] = ("a table of numbers", _are_numbers)
FIELDS: dict[str, tuple[str, Fits]] = {
    "name": _TEXT,
    "mix": _NUMBERS,
    "users": _WHOLE,
    "shape": ("a table with a kind", lambda value: isinstance(value, Mapping)),
    "seed": _WHOLE,
    "host": _TEXT,
    "time_scale": _NUMBER,
    "environment": _TEXT,
    "request_timeout": _NUMBER,
    "processes": _WHOLE,
    "connections": _WHOLE,
    "sources": _TEXTS,
    "expected": _NUMBERS,
    "warm_up_seconds": _NUMBER,
    "limits": _TEXTS,
    "moving": _NUMBER,
    "bystander": _TEXT,
    "allow": _TEXTS,
    "intention": _TEXT,
    "log": _TEXT,
    "weights": _NUMBERS,
    "journey_seconds": _NUMBER,
    "stay_seconds": _NUMBER,
    "kinds": _TEXT,
    "urls": _TEXT,
    "curve": _TEXT,
}
