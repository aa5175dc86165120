"""What an address of known answers is told to do, by its query: how long answers take, which are wrong, when everything
stands still.

The same words are understood by the small precise server (`loadtests/calibrating/known.py`) and by the endpoint of a
target (`config/known_answers.py`). Nothing here knows a socket or a clock.

    latency=lognormal:20ms,0.5     constant:20ms | uniform:10ms,30ms | exponential:20ms (its mean) |
                                   lognormal:20ms,0.5 (median, sigma) | steps:10ms*90,50ms*9,1s*1 (values, weights)
    answers=503*5,close*1          per cent that are something else than a 200: a status, or one of FAULTS
    wrong=constant:1ms             how long those take (default constant:0s: failing is fast)
    freeze=6s@10s                  no answer comes for 6 s, from 10 s after the first request of this programme
    size=2000  slow=2s             bytes of the body, and over how long it drips
    seed=1  draw=even              even: drawn so that few answers already have the quantiles of the distribution
    name=signup.post               under which name it is counted
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from urllib.parse import parse_qsl

PATH = "/.well-known/known-answer"
# close: no answer at all; half: the body ends too early; reset: likewise without an answer, and rudely; garbage: no
# HTTP; headers: more of them than anybody wants; hang: nothing ever comes.
FAULTS = ("close", "half", "reset", "garbage", "headers", "hang")
LONGEST_SECONDS = 120.0
LARGEST_BYTES = 1 << 20
_NORMAL = NormalDist()
_GOLDEN = (math.sqrt(5) - 1) / 2
_SECOND = 1 / 1.32471795724474602596**2  # of the plastic number: even in the plane together with the next one
_FIRST = 1 / 1.32471795724474602596


class ProgrammeMistake(Exception):
    """The query is no programme; the message says which part and why."""


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of durations in seconds: `quantile` of a share from 0 to 1."""

    text: str
    quantile: Callable[[float], float]

    def percentile_ms(self, percentile: float) -> float:
        return self.quantile(percentile / 100) * 1e3


@dataclass(frozen=True, slots=True)
class Freeze:
    """Nothing is answered from `begins` to `ends`, in seconds since the programme's first request."""

    begins: float
    ends: float

    def due(self, received: float, seconds: float) -> float:
        """When the answer to a request comes that was received then and takes so long by itself. Who comes while it
        stands still is looked at when it goes on."""
        due = (self.ends if self.begins <= received < self.ends else received) + seconds
        return self.ends if self.begins <= due < self.ends else due


@dataclass(frozen=True, slots=True)
class Planned:
    """One answer: its status or its fault ("200", "503", "close"), and how long it takes in seconds."""

    kind: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Programme:
    latency: Latency
    wrong: Latency
    answers: tuple[tuple[str, float], ...] = ()  # (kind, share of 1); what is left is "200"
    freeze: Freeze | None = None
    size: int = 2
    slow: float = 0.0
    seed: int = 1
    even: bool = False
    name: str = "known"

    def planned(self, which: float, long: float) -> Planned:
        """The answer that two numbers from 0 to 1 stand for."""
        for kind, share in self.answers:
            if which < share:
                return Planned(kind, self.wrong.quantile(long))
            which -= share
        return Planned("200", self.latency.quantile(long))

    def draws(self) -> Iterator[Planned]:
        """One answer after the other, without end; the same programme gives the same ones."""
        for which, long in _even(self.seed) if self.even else _random(self.seed):
            yield self.planned(which, long)

    def due(self, *, received: float, seconds: float) -> float:
        """Seconds since the programme's first request at which the answer begins."""
        return self.freeze.due(received, seconds) if self.freeze else received + seconds


@lru_cache(maxsize=1_000)
def parse(query: str) -> Programme:
    """The programme that a query (without its question mark) stands for. Raises `ProgrammeMistake`."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if len({name for name, _ in pairs}) < len(pairs):
        raise ProgrammeMistake("something is said twice")
    found: dict[str, object] = {"latency": latency("constant:0s"), "wrong": latency("constant:0s")}
    for name, text in pairs:
        if name not in _PARTS:
            raise ProgrammeMistake(f"{name!r} is none of {', '.join(_PARTS)}")
        field, read = _PARTS[name]
        try:
            found[field] = read(text)
        except ValueError as error:
            raise ProgrammeMistake(f"{name}={text}: {error}") from error
    return Programme(**found)  # type: ignore[arg-type]  # each by its own reader


def latency(text: str) -> Latency:
    """A distribution by its name and numbers. Raises `ValueError`."""
    name, _, rest = text.partition(":")
    if name not in _DISTRIBUTIONS:
        raise ValueError(f"{name!r} is none of {', '.join(_DISTRIBUTIONS)}")
    return Latency(text, _DISTRIBUTIONS[name](*rest.split(",")))


def seconds(text: str) -> float:
    """`20ms`, `1.5s`. Raises `ValueError`."""
    scale = 1e-3 if text.endswith("ms") else 1.0
    if not text.endswith("s"):
        raise ValueError(f"{text!r} has no unit; say 20ms or 1.5s")
    value = float(text.removesuffix("s").removesuffix("m")) * scale
    if not 0 <= value <= LONGEST_SECONDS:
        raise ValueError(f"{text} is not between 0 and {LONGEST_SECONDS:g} s")
    return value


def _constant(value: str) -> Callable[[float], float]:
    fixed = seconds(value)
    return lambda share: fixed


def _uniform(low: str, high: str) -> Callable[[float], float]:
    least, span = seconds(low), seconds(high) - seconds(low)
    return lambda share: least + share * span


def _exponential(mean: str) -> Callable[[float], float]:
    of = seconds(mean)
    return lambda share: min(LONGEST_SECONDS, -of * math.log1p(-min(share, 1 - 1e-12)))


def _lognormal(median: str, sigma: str) -> Callable[[float], float]:
    middle, spread = math.log(max(1e-9, seconds(median))), float(sigma)
    if not 0 <= spread <= 3:
        raise ValueError(f"sigma {sigma} is not between 0 and 3")
    return lambda share: min(
        LONGEST_SECONDS, math.exp(middle + spread * _NORMAL.inv_cdf(min(max(share, 1e-12), 1 - 1e-12)))
    )


def _steps(*steps: str) -> Callable[[float], float]:
    weighed = [(seconds(value), float(weight)) for value, _, weight in (step.partition("*") for step in steps)]
    total = sum(weight for _, weight in weighed)
    if min(weight for _, weight in weighed) < 0 or not 0 < total < 1e9:
        raise ValueError("weights must be above 0")

    def quantile(share: float) -> float:
        for value, weight in weighed:
            share -= weight / total
            if share < 0:
                return value
        return weighed[-1][0]

    return quantile


_DISTRIBUTIONS: dict[str, Callable[..., Callable[[float], float]]] = {
    "constant": _constant,
    "uniform": _uniform,
    "exponential": _exponential,
    "lognormal": _lognormal,
    "steps": _steps,
}


def _latency(text: str) -> Latency:
    try:
        return latency(text)
    except TypeError:
        raise ValueError("too many or too few numbers") from None


def _answers(text: str) -> tuple[tuple[str, float], ...]:
    found = []
    for part in text.split(","):
        kind, _, percent = part.partition("*")
        if kind not in FAULTS and not (kind.isdecimal() and 200 <= int(kind) <= 599):
            raise ValueError(f"{kind!r} is neither a status nor one of {', '.join(FAULTS)}")
        found.append((kind, float(percent) / 100))
    if min(share for _, share in found) < 0 or not sum(share for _, share in found) <= 1 + 1e-9:
        raise ValueError("more than 100 per cent, or less than 0")
    return tuple(found)


def _freeze(text: str) -> Freeze:
    long, at, begins = text.partition("@")
    return Freeze(seconds(begins if at else "0s"), seconds(begins if at else "0s") + seconds(long))


def _size(text: str) -> int:
    if not 0 <= int(text) <= LARGEST_BYTES:
        raise ValueError(f"not between 0 and {LARGEST_BYTES} bytes")
    return int(text)


def _even_draws(text: str) -> bool:
    if text not in ("even", "random"):
        raise ValueError("neither even nor random")
    return text == "even"


_PARTS: dict[str, tuple[str, Callable[[str], object]]] = {
    "latency": ("latency", _latency),
    "wrong": ("wrong", _latency),
    "answers": ("answers", _answers),
    "freeze": ("freeze", _freeze),
    "size": ("size", _size),
    "slow": ("slow", seconds),
    "seed": ("seed", int),
    "draw": ("even", _even_draws),
    "name": ("name", str),
}


def _random(seed: int) -> Iterator[tuple[float, float]]:
    chance = random.Random(f"known answers {seed}")  # noqa: S311
    while True:
        yield chance.random(), chance.random()


def _even(seed: int) -> Iterator[tuple[float, float]]:
    """The additive recurrence of the plastic number, which fills a square evenly from its first points on."""
    which = long = (seed * _GOLDEN) % 1
    while True:
        which, long = (which + _FIRST) % 1, (long + _SECOND) % 1
        yield which, long
