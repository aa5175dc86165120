"""A plan: which scenario, how many visitors, when they arrive, how fast time runs, from which seed, which limits."""

import random
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests.shapes import SHAPES

SCENARIOS = ("signup", "purchase")

# What one visitor's journey takes at time scale 1 when every answer is immediate, in seconds.
JOURNEY_SECONDS = {"signup": 10 * 30.0, "purchase": 2 * 5.0 + 300.0}
# A journey waits for answers as well; a visitor who is longer than this behind is cut off.
GRACE_SECONDS = 60.0


class PlanMistake(Exception):
    """The plan cannot be run; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What must hold for a run to pass, and what must hold for it to be believed."""

    failed: int = 0
    generator_cpu: float = 0.90  # of one core, the busiest 5 seconds
    late_start_seconds: float = 1.0  # p99


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: str
    users: int
    rate: float  # arrivals per second
    arrivals: str  # a name in shapes.SHAPES
    time_scale: float  # every wait of a visitor is multiplied by this; arrivals are not
    seed: int
    host: str
    request_timeout: float = 30.0
    limits: Limits = field(default_factory=Limits)

    def moments(self) -> list[float]:
        """Seconds after the start at which the visitors arrive. The same plan has the same moments."""
        return SHAPES[self.arrivals](self.users, self.rate, random.Random(f"arrivals {self.seed}"))  # noqa: S311

    @property
    def hard_stop_seconds(self) -> float:
        """No run lasts longer than this, whatever the target does."""
        return self.moments()[-1] + JOURNEY_SECONDS[self.scenario] * self.time_scale + GRACE_SECONDS

    def as_arguments(self) -> list[str]:
        """What `manage.py loadtest run` takes to run this plan again."""
        options = {
            "--users": self.users,
            "--rate": f"{self.rate:.12g}",
            "--arrivals": self.arrivals,
            "--time-scale": f"{self.time_scale:g}",
            "--seed": self.seed,
            "--timeout": f"{self.request_timeout:g}",
            "--host": self.host,
        }
        return [self.scenario, *(str(part) for option in options.items() for part in option)]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Plan":
        return cls(**{**raw, "limits": Limits(**raw["limits"])})


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
) -> Plan:
    """A plan that can be run. Without rate and duration the arrivals are spread over 60 s times the time scale.
    Raises `PlanMistake`."""
    if rate is not None and duration is not None:
        raise PlanMistake("--rate and --duration say the same thing twice: name one of them")
    checks = {
        "--users must be from 1 to 100000": 1 <= users <= 100_000,
        "--rate must be above 0": rate is None or 0 < rate < 1e6,
        "--duration must be from 0.01 to 86400 seconds": duration is None or 0.01 <= duration <= 86_400,
        "--time-scale must be above 0 and at most 10": 0 < time_scale <= 10,
        "--timeout must be from 0.1 to 300 seconds": 0.1 <= request_timeout <= 300,
        f"the scenario must be one of {', '.join(SCENARIOS)}": scenario in SCENARIOS,
        f"--arrivals must be one of {', '.join(SHAPES)}": arrivals in SHAPES,
    }
    for sentence, holds in checks.items():
        if not holds:
            raise PlanMistake(sentence)
    spread = duration if duration is not None else 60.0 * time_scale
    return Plan(
        scenario=scenario,
        users=users,
        rate=rate if rate is not None else users / spread,
        arrivals=arrivals,
        time_scale=time_scale,
        seed=seed,
        host=host,
        request_timeout=request_timeout,
    )
