"""A limit, in one line that a person reads: `p99(signup.post) < 250ms over 10s stop`.

    [intended] METRIC[(WHAT)] [STATISTIC] OP VALUE[UNIT] [over SECONDS s] [stop]

| metric | of | unit |
|---|---|---|
| p50 … p99.9, mean, max | right answers of steps (a name or a pattern such as `resource.*`) | us, ms, s |
| failed, timeouts, untrue | answers of steps; failed counts time-outs as well | %, or a number |
| gave_up, cut_off, lost, unmet | visitors | %, or a number |
| rate | right answers of steps | /s, /min |
| arrivals | visitors | /s, /min |
| present, in_flight, connections | all generators | a number |
| cpu, rss, descriptors, sockets | a group of processes; `cpu(generator)`: the busiest one | %; KB, MB, GB; a number |
| gauge | a gauge of the probes, such as `mariadb.primary.threads_running` | a number |
| late, staleness | with a statistic: late starts, what visitors saw too late | us, ms, s |

`intended` takes the time from the moment at which the step was to begin. `over 10s`: each window of 10 seconds must
keep it. `stop`: the run ends when it is broken. `failed(* but resource.*, iframe.*) == 0`: of all other steps. Every
plan has `failed == 0` and `untrue == 0` for the steps of which it does not itself bound these. How windows are judged:
`loadtests/judgement/windows.py`.
"""

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

_FORM = re.compile(
    r"(?P<intended>intended\s+)?(?P<metric>[a-z_]\w*(?:\.\d+)?)(?:\((?P<what>[^()]+)\))?"
    r"(?:\s+(?P<statistic>p\d+(?:\.\d+)?|mean|max))?"
    r"\s*(?P<op><=|>=|==|<|>)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%|/s|/min|us|ms|s|KB|MB|GB)?"
    r"(?:\s+over\s+(?P<window>\d+)\s*s)?(?P<stop>\s+stop)?",
    re.ASCII,
)
_STATISTIC = re.compile(r"p\d+(\.\d+)?|mean|max")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "%": 0.01, "/s": 1.0, "/min": 1 / 60, "KB": 1e3, "MB": 1e6, "GB": 1e9}
_DURATIONS, _SHARES, _RATES = ("us", "ms", "s"), ("%", None), ("/s", "/min")
WRONG = ("failed", "timeouts", "untrue")
VISITORS = ("gave_up", "cut_off", "lost", "unmet")
LEVELS = ("present", "in_flight", "connections")
PROBED = ("cpu", "rss", "descriptors", "sockets", "gauge")
DURATIONS = ("late", "staleness")
FLOWS = ("rate", "arrivals")
_UNITS_OF: dict[str, tuple[str | None, ...]] = {
    "latency": _DURATIONS,
    **dict.fromkeys(DURATIONS, _DURATIONS),
    **dict.fromkeys((*WRONG, *VISITORS), _SHARES),
    **dict.fromkeys(FLOWS, _RATES),
    **dict.fromkeys((*LEVELS, "descriptors", "sockets", "gauge"), (None,)),
    "cpu": ("%",),
    "rss": ("KB", "MB", "GB"),
}
METRICS = tuple(_UNITS_OF)
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
# A processor's load is judged over this many seconds where the limit says nothing: one busy second is no shortage.
CPU_WINDOW_SECONDS = 5
LONGEST_WINDOW_SECONDS = 3600
# What is judged of every run, unless its plan says how much of it may be.
ALWAYS = ("failed", "untrue")


class LimitMistake(ValueError):
    """No limit; the message says why."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`metric`: as in the table, with `latency` for what is measured of answers. `what`: a pattern of steps, a group or
    a gauge; `but`: patterns of steps that it leaves out. `value`: in seconds, bytes, per second, or a share of 1.
    `window`: in seconds; None is all of the run."""

    text: str
    metric: str
    what: str
    statistic: str
    intended: bool
    op: str
    value: float
    unit: str | None
    window: int | None
    stop: bool
    but: tuple[str, ...] = ()

    def kept(self, value: float) -> bool:
        return _OPERATORS[self.op](value, self.value)

    def worse(self, one: float, other: float) -> float:
        """Of two values the one that is nearer to breaking it, or further beyond."""
        if self.op == "==":
            return max(one, other, key=lambda value: abs(value - self.value))
        return min(one, other) if self.at_least else max(one, other)

    @property
    def at_least(self) -> bool:
        """It bounds from below."""
        return self.op in (">", ">=")

    @property
    def share(self) -> bool:
        return self.unit == "%"

    def covers(self, step: str) -> bool:
        return fnmatchcase(step, self.what) and not any(fnmatchcase(step, pattern) for pattern in self.but)

    @property
    def of_all(self) -> bool:
        """Of every step, or of every visitor."""
        return self.what == "*" and not self.but

    def said(self, value: float) -> str:
        """A measured value in the limit's own unit."""
        number = value / _UNITS.get(self.unit or "", 1.0)
        return f"{f'{number:,.0f}' if number >= 10_000 else f'{number:.4g}'}{self.unit or ''}"


def parse(text: str) -> Limit:
    """Raises `LimitMistake`."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise LimitMistake(f"{text!r} is no limit; one reads like `p99(signup.post) < 250ms over 10s stop`")
    metric, statistic = found["metric"], found["statistic"] or ""
    what, but = _patterns(found["what"] or "")
    if _STATISTIC.fullmatch(metric):
        _demand(not statistic, text, "names two statistics")
        metric, statistic = "latency", metric
    _demand(
        metric in _UNITS_OF, text, f"measures {metric!r}, which is none of {', '.join(sorted(_UNITS_OF))}, p50 … p99.9"
    )
    limit = Limit(
        text=text.strip(),
        metric=metric,
        what=what or ("generator" if metric == "cpu" else "*"),
        but=but,
        statistic=statistic,
        intended=bool(found["intended"]),
        op=found["op"],
        value=float(found["number"]) * _UNITS.get(found["unit"] or "", 1.0),
        unit=found["unit"],
        window=_window(metric, found["window"]),
        stop=bool(found["stop"]),
    )
    _demand_sense(limit, named=found["what"] is not None)
    return limit


def completed(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines, and for each of what is always judged a limit of 0 on the steps that none of them bounds. Raises
    `LimitMistake`."""
    written = tuple(lines)
    limits = [parse(line) for line in written]
    return (*written, *(line for metric in ALWAYS if (line := _none_of_the_others(metric, limits))))


def _none_of_the_others(metric: str, limits: Iterable[Limit]) -> str:
    bounding = [limit for limit in limits if limit.metric == metric and not limit.at_least]
    if any(limit.of_all for limit in bounding):
        return ""
    # What one leaves out and another does not name is left to nobody: then all are judged by 0.
    bounded = [limit.what for limit in bounding if not limit.but and limit.what != "*"]
    rest = [limit for limit in bounding if limit.but]
    if any(all(pattern in bounded for pattern in limit.but) for limit in rest if limit.what == "*"):
        return ""
    return f"{metric}(* but {', '.join(sorted(set(bounded)))}) == 0" if bounded else f"{metric} == 0"


def _patterns(named: str) -> tuple[str, tuple[str, ...]]:
    what, _, but = named.strip().partition(" but ")
    return what.strip(), tuple(pattern for part in but.split(",") if (pattern := part.strip()))


def _demand_sense(limit: Limit, *, named: bool) -> None:
    text, metric = limit.text, limit.metric
    units = _UNITS_OF[metric]
    _demand(limit.unit in units, text, f"needs {_spoken(units)} after the number")
    timed = metric == "latency" or metric in DURATIONS
    _demand(
        bool(limit.statistic) == timed,
        text,
        f"needs a statistic, as in `{metric} p99`" if timed else "has a statistic too much",
    )
    if limit.statistic.startswith("p"):
        _demand(0 < float(limit.statistic[1:]) <= 100, text, "names a percentile that is not above 0 and at most 100")
    _demand(not limit.intended or metric == "latency", text, "can be `intended` only for answers")
    takes = metric in ("latency", "rate", *WRONG, *PROBED)
    _demand(takes or not named, text, f"is of the whole run: {metric} takes nothing in brackets")
    _demand(not limit.but or metric not in PROBED, text, "leaves something out: only steps can be left out")
    _demand(named or metric not in PROBED or metric == "cpu", text, f"needs to say whose, as in `{metric}(web)`")
    _demand(
        limit.window is None or 1 <= limit.window <= LONGEST_WINDOW_SECONDS,
        text,
        "has a window that is not from 1 to 3600 s",
    )
    _demand(
        metric != "staleness" or limit.window is None, text, "is known only when the run is over: it takes no window"
    )
    whole = limit.window is None or not limit.share
    _demand(metric not in VISITORS or whole, text, "is a share of all visitors: it takes no window")
    if limit.stop:
        probed = metric == "staleness" or (metric in PROBED and limit.what != "generator")
        _demand(not probed, text, "cannot stop the run: this is read beside it")
        rises = metric in (*WRONG, *VISITORS) and not limit.share and not limit.at_least
        _demand(rises or limit.window is not None, text, "can stop the run only over a window, as in `over 10s stop`")


def _window(metric: str, named: str | None) -> int | None:
    if named is not None:
        return int(named)
    if metric == "cpu":
        return CPU_WINDOW_SECONDS
    return 1 if metric in (*LEVELS, *PROBED) else None


def _spoken(units: tuple[str | None, ...]) -> str:
    return " or ".join("nothing" if unit is None else unit for unit in units)


def _demand(holds: bool, text: str, why: str) -> None:
    if not holds:
        raise LimitMistake(f"{text!r} {why}")
