"""A plan: which scenarios in which mix, how many visitors, when they arrive, how fast time runs, from which seed, which
limits. A plan that exists can be run; what a file or a command line said wrongly is a `PlanMistake`.

It reads no file (`loadtests/planning/plan_files.py` does) and knows neither Django nor Locust: generators get it as
JSON.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from loadtests import limits
from loadtests.judgement.phases import Phase
from loadtests.judgement.phases import of as phases_of
from loadtests.planning import known_steps
from loadtests.shapes import SPACINGS, Shape, flat

# What one visitor's journey takes at time scale 1 when every answer is immediate, in seconds, at most: as the scenarios
# say it, here because reading a plan needs none of what visitors need.
JOURNEY_SECONDS: dict[str, float] = {
    "signup": 10 * 30.0,
    "purchase": 2 * 5.0 + 300.0,
    "browse": 190.0,
    "member": 181.0,
    "buyer": 203.0,
    "black_friday": 283.0,
    "replay": 3600.0,
}
SCENARIOS = tuple(JOURNEY_SECONDS)
# A journey waits for answers as well. Whoever is behind by more than this, and by what the plan itself lets somebody
# wait, is cut off.
GRACE_SECONDS = 60.0
MOST_USERS = 1_000_000
# So many visitors one generator process drives alone.
USERS_OF_ONE_PROCESS = 8_000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,59}")
CURVES = ("log", "log-time")
DEFAULT_LIMITS = ("failed == 0", "untrue == 0")


class PlanMistake(Exception):
    """The plan cannot be run: `key` is the part that is wrong, `why` goes on with the sentence."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key} {why}")
        self.key, self.why = key, why


@dataclass(frozen=True, slots=True)
class Arrival:
    """Visitor `index` of the whole run comes at `moment` seconds after its start."""

    index: int
    moment: float
    scenario: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`expected`: seconds that an answer of a step may take without anybody being behind; "*" for all others.
    `weights`, `log`, `kinds`, `urls`: of a replay, the last three of them files. `curve`: "log" if visitors come as
    the log's did, over the shape's time, "log-time" if over the log's; "" for the shape's own. `journey_seconds`,
    `stay_seconds`: the longest journey and the mean one, where the scenario cannot know them."""

    name: str
    mix: dict[str, float]
    users: int
    shape: Shape
    seed: int = 1
    host: str = ""
    time_scale: float = 1.0  # every wait of a visitor is multiplied by this; arrivals are not
    environment: str = ""
    request_timeout: float = 30.0
    processes: int = 0  # 0: by the number of users
    connections: int = 2  # that a visitor may have at once
    sources: tuple[str, ...] = ()  # addresses that connections are made from
    expected: dict[str, float] = field(default_factory=lambda: {"*": 0.1})
    warm_up_seconds: float = 0.0
    limits: tuple[str, ...] = DEFAULT_LIMITS
    moving: float = 0.0  # changes of the shop's data a second
    bystander: str = ""
    allow: tuple[str, ...] = ()  # hosts beyond this machine that may be driven
    intention: str = ""
    log: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    journey_seconds: float = 0.0
    stay_seconds: float = 0.0
    kinds: str = ""
    urls: str = ""
    curve: str = ""

    def __post_init__(self) -> None:
        for key, why, holds in _demands(self):
            if not holds:
                raise PlanMistake(key, why)
        # Nothing is failed and nothing untrue where the plan does not say how much of it may be.
        object.__setattr__(self, "limits", limits.completed(self.limits))

    @property
    def scenario(self) -> str:
        """The only scenario, or the plan's name where there are several."""
        return next(iter(self.mix)) if len(self.mix) == 1 else self.name

    @property
    def rate(self) -> float:
        """Arrivals per second, the mean."""
        return self.shape.rate

    @property
    def workers(self) -> int:
        """How many generator processes."""
        return self.processes or (1 if self.users < USERS_OF_ONE_PROCESS else 2)

    def moments(self) -> list[float]:
        """Seconds after the start at which the visitors arrive. The same plan has the same moments."""
        return self.shape.moments(self.users, random.Random(f"arrivals {self.seed}"))  # noqa: S311

    def arrivals(self) -> list[Arrival]:
        """Who arrives when as what, in order. The same plan has the same arrivals."""
        chance = random.Random(f"mix {self.seed}")  # noqa: S311
        drawn = chance.choices(list(self.mix), list(self.mix.values()), k=self.users)
        who = zip(self.moments(), drawn, strict=True)
        return [Arrival(index, moment, scenario) for index, (moment, scenario) in enumerate(who)]

    def journey(self, scenario: str) -> float:
        """Seconds that a journey takes in this run when every answer is immediate."""
        return (self.journey_seconds or JOURNEY_SECONDS[scenario]) * self.time_scale

    @property
    def longest_journey(self) -> float:
        return max(self.journey(scenario) for scenario in self.mix)

    @property
    def hard_stop_seconds(self) -> float:
        """No run lasts longer than this, whatever the target does."""
        return self.moments()[-1] + self.longest_journey + self.grace_seconds

    @property
    def grace_seconds(self) -> float:
        """How far behind a visitor may be: a whole time-out, or as long as the slowest answer that a limit accepts."""
        bounds = (limit.value for limit in map(limits.parse, self.limits) if limit.metric == "latency")
        return GRACE_SECONDS + min(3600.0, max((self.request_timeout, *bounds)))

    def phases(self) -> list[Phase]:
        """Which seconds are compared with which, by the plan alone: `loadtests/judgement/phases.py`."""
        whole = sum(self.mix.values())
        stays = [
            (weight / whole, self.stay_seconds * self.time_scale or self.journey(scenario))
            for scenario, weight in self.mix.items()
        ]
        return phases_of(self.shape, stays=stays, warm_up=self.warm_up_seconds)

    def changed(
        self,
        *,
        users: int | None = None,
        rate: float | None = None,
        duration: float | None = None,
        arrivals: str | None = None,
        **others: Any,
    ) -> "Plan":
        """The same plan, smaller, larger, slower or with other values; None leaves a value as it is. `users` alone
        keeps the rates and holds them for a shorter or longer time; a shorter run has as much less of a warm-up. Raises
        `PlanMistake`."""
        if rate is not None and duration is not None:
            raise PlanMistake("duration", "and rate say the same thing twice: name one of them")
        people = self.users if users is None else users
        _demand("users", f"must be from 1 to {MOST_USERS}", 1 <= people <= MOST_USERS)
        _demand("rate", "must be above 0", rate is None or 0 < rate < 1e6)
        _demand("duration", "must be from 0.01 to 86400 seconds", duration is None or 0.01 <= duration <= 86_400)
        shape = self.shape.longer(people / self.shape.people)
        if duration is not None:
            _demand("duration", "cannot be given to arrivals that are all at once", shape.seconds > 0)
            rate = people / duration
        if rate is not None and shape.seconds > 0:
            shape = shape.faster(rate / shape.rate)
            shape = shape.longer(people / shape.people)
        if arrivals is not None:
            _demand("arrivals", f"must be one of {', '.join(SPACINGS)}", arrivals in SPACINGS)
            shape = Shape(arrivals if shape.kind in SPACINGS else shape.kind, shape.pieces, arrivals)
        given = {name: value for name, value in others.items() if value is not None}
        shorter = min(1.0, shape.seconds / self.shape.seconds) if self.shape.seconds else 1.0
        warm_up = self.warm_up_seconds if shorter > 0.999 else float(int(self.warm_up_seconds * shorter))
        return replace(self, **{"users": people, "shape": shape, "warm_up_seconds": warm_up, **given})

    def as_arguments(self, *, file: str) -> list[str]:
        """What `manage.py loadtest run` takes to run this plan again; where options cannot say it all, `file`: where it
        is kept."""
        if self != _of_command_line(self):
            return [file]
        options = {
            "--users": self.users,
            "--rate": f"{self.rate:.12g}",
            "--arrivals": self.shape.spacing,
            "--time-scale": f"{self.time_scale:g}",
            "--seed": self.seed,
            "--timeout": f"{self.request_timeout:g}",
            "--host": self.host,
        }
        return [self.scenario, *(str(part) for option in options.items() for part in option)]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "shape": self.shape.as_json()}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "Plan":
        lists = {name: tuple(raw[name]) for name in ("sources", "limits", "allow")}
        return cls(**{**raw, **lists, "shape": Shape.from_json(raw["shape"])})


def make(
    *,
    scenario: str,
    users: int,
    rate: float | None,
    duration: float | None,
    arrivals: str,
    time_scale: float,
    seed: int,
    host: str,
    request_timeout: float = 30.0,
    **others: Any,
) -> Plan:
    """The plan of a command line that names a scenario. Without rate and duration the arrivals are spread over 60 s
    times the time scale. Raises `PlanMistake`."""
    try:
        _demand("time_scale", "must be above 0 and at most 10", 0 < time_scale <= 10)
        _demand("scenario", f"must be one of {', '.join(SCENARIOS)}", scenario in SCENARIOS)
        shape = flat(rate=1 / (60 * time_scale), users=1, spacing="poisson")
        plan = Plan(scenario, {scenario: 1.0}, 1, shape, log=others.get("log", ""))
        spread = 60.0 * time_scale if rate is None and duration is None else duration
        values = {"time_scale": time_scale, "seed": seed, "host": host, "request_timeout": request_timeout}
        return plan.changed(users=users, rate=rate, duration=spread, arrivals=arrivals, **values, **others)
    except PlanMistake as mistake:
        raise of_option(mistake) from mistake


def of_option(mistake: PlanMistake) -> PlanMistake:
    """The same mistake, named as the command line names it."""
    option = {"request_timeout": "timeout", "allow": "allow-host", "curve": "arrivals"}.get(mistake.key, mistake.key)
    return PlanMistake(f"--{option.replace('_', '-')}", mistake.why)


def _of_command_line(plan: Plan) -> Plan | None:
    """The plan that the command line's few options make, if they make one like this."""
    if len(plan.mix) > 1 or plan.shape.kind not in SPACINGS or plan.log:
        return None
    return replace(
        Plan(plan.scenario, {plan.scenario: 1.0}, plan.users, plan.shape),
        seed=plan.seed,
        host=plan.host,
        time_scale=plan.time_scale,
        request_timeout=plan.request_timeout,
    )


def _demand(key: str, why: str, holds: bool) -> None:
    if not holds:
        raise PlanMistake(key, why)


def _demands(plan: Plan) -> Iterator[tuple[str, str, bool]]:
    """What must be true of a plan. A comparison with a number that is none is false, so NaN is refused as well."""
    users, mix = plan.users, plan.mix
    yield "mix", "names no scenario", bool(mix)
    unknown = sorted(set(mix) - set(SCENARIOS))
    yield "mix", f"names {', '.join(map(repr, unknown))}; scenarios are {', '.join(SCENARIOS)}", not unknown
    for scenario, weight in mix.items():
        yield "mix", f"needs a weight above 0 for {scenario!r}", 0 < weight < 1e9
    yield "seed", "must have at most 18 digits", abs(plan.seed) < 10**18
    yield "users", f"must be from 1 to {MOST_USERS}", 1 <= users <= MOST_USERS
    yield "shape", "brings nobody", plan.shape.people > 0
    yield "shape", "lasts longer than a day", plan.shape.seconds <= 86_400 * 1.001
    yield "time_scale", "must be above 0 and at most 10", 0 < plan.time_scale <= 10
    yield "request_timeout", "must be from 0.1 to 300 seconds", 0.1 <= plan.request_timeout <= 300
    yield "processes", "must be from 0 (by the number of users) to 64", 0 <= plan.processes <= 64
    yield "connections", "must be from 1 to 32", 1 <= plan.connections <= 32
    yield "warm_up_seconds", "must be from 0 to 86400", 0 <= plan.warm_up_seconds <= 86_400
    yield "expected", "needs seconds of 0 or more", all(0 <= seconds < 3600 for seconds in plan.expected.values())
    yield "moving", "must be from 0 to 10000 changes a second", 0 <= plan.moving <= 10_000
    yield "weights", "must be above 0", all(0 < weight < 1e9 for weight in plan.weights.values())
    yield "journey_seconds", "must be from 0 to 86400", 0 <= plan.journey_seconds <= 86_400
    yield "name", "must be letters, digits, dots and dashes, at most 60", bool(_NAME.fullmatch(plan.name))
    for line in plan.limits:
        why = _limit_mistake(line, mix)
        yield "limits", f"cannot be kept: {why}", not why
    yield "stay_seconds", "must be from 0 to 86400", 0 <= plan.stay_seconds <= 86_400
    hurried = "replay" in mix and plan.time_scale < 1
    yield "time_scale", "must be 1 or more in a replay: nobody of a log is hurried", not hurried
    yield "curve", f"must be one of {', '.join(CURVES)}, or nothing", plan.curve in ("", *CURVES)
    yield "curve", "is of a log: the plan replays none", not plan.curve or "replay" in mix
    timed = plan.curve != "log" or plan.shape.seconds > 0
    yield "curve", "needs a shape that lasts, unless it is log-time", timed
    yield "log", "is what the scenario replay needs", ("replay" not in mix) or bool(plan.log)


def _limit_mistake(line: str, mix: Mapping[str, float]) -> str:
    try:
        return known_steps.unmatched(limits.parse(line), mix)
    except limits.LimitMistake as mistake:
        return str(mistake)
    return ""
