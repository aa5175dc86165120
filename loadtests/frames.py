"""What one generator process saw in one second: the unit in which measurements travel, are kept and are added up.

The totals of a run are the sum of its frames, and nothing else: what a killed generator had sent is kept, and what
several generators sent is merged by adding histograms.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from loadtests.histogram import Histogram
from loadtests.steps import Ending, Outcome

_PLAIN: tuple[str, ...] = (
    "at",
    "worker",
    "sent",
    "received",
    "unfit",
    "unsent",
    "connects",
    "bytes_in",
    "present",
    "in_flight",
    "connections",
    "in_flight_seconds",
)
_PLAIN += ("present_seconds", "cpu", "rss_bytes")
_EXAMPLES = 50  # different error sentences kept a second and process; the counts are complete


@dataclass(slots=True)
class Tally:
    """One step, such as `signup.post`. `service`: from the asking, connecting included, to the last byte in.
    `intended`: from the moment at which it was to begin, had nobody been kept waiting. Both hold right answers only: a
    target that fails fast must not look fast. `wrong`: how long failures, time-outs and untrue answers took."""

    service: Histogram = field(default_factory=Histogram)
    intended: Histogram = field(default_factory=Histogram)
    wrong: Histogram = field(default_factory=Histogram)
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        self.service.add(other.service)
        self.intended.add(other.intended)
        self.wrong.add(other.wrong)
        self.outcomes.update(other.outcomes)

    def as_json(self) -> dict[str, Any]:
        return {
            "service": self.service.as_json(),
            "intended": self.intended.as_json(),
            "wrong": self.wrong.as_json(),
            "outcomes": {outcome.value: count for outcome, count in self.outcomes.items()},
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Tally":
        return cls(
            service=Histogram.from_json(raw["service"]),
            intended=Histogram.from_json(raw["intended"]),
            wrong=Histogram.from_json(raw["wrong"]),
            outcomes=Counter({Outcome(name): int(count) for name, count in raw["outcomes"].items()}),
        )


@dataclass(slots=True)
class Frame:
    """The second `at` of the run (0 is the first), as generator process `worker` saw it.

    `arrivals`, `endings`, `unmet`: by scenario; unmet are planned arrivals that were not made (and why not: `notes`).
    `present`, `in_flight`, `connections`: the state at the end of the second. `in_flight_seconds`: the integral of
    requests in flight over the second, for Little's law; `present_seconds` likewise of visitors. `late`: how long after
    their moment visitors began. `lag`: how long after its moment each thing was done that the loop had to do: a visitor
    woken up, an answer taken that lay there, a second closed.
    `cpu`: of this process, as a share of one core. `sent`: requests whose first byte went out;
    `received`: answers that came whole, right or wrong; `unfit`: those of them that were failures (a wrong status, a
    body that cannot be read); `unsent`: requests that ended before a byte of them went out."""

    at: int
    worker: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    errors: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (step, outcome, sentence)
    arrivals: Counter[str] = field(default_factory=Counter)
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)  # (scenario, Ending's value)
    unmet: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    late: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    sent: int = 0
    received: int = 0
    unfit: int = 0
    unsent: int = 0
    connects: int = 0  # connections opened
    bytes_in: int = 0
    present: int = 0
    in_flight: int = 0
    connections: int = 0
    in_flight_seconds: float = 0.0
    present_seconds: float = 0.0
    cpu: float = 0.0
    rss_bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "tallies": {name: tally.as_json() for name, tally in self.tallies.items()},
            "errors": [[*key, count] for key, count in self.errors.items()],
            "arrivals": dict(self.arrivals),
            "endings": [[*key, count] for key, count in self.endings.items()],
            "unmet": dict(self.unmet),
            "notes": dict(self.notes),
            "late": self.late.as_json(),
            "lag": self.lag.as_json(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Frame":
        return cls(
            **{
                **raw,
                "tallies": {name: Tally.from_json(tally) for name, tally in raw["tallies"].items()},
                "errors": Counter({(step, kind, error): count for step, kind, error, count in raw["errors"]}),
                "arrivals": Counter(raw["arrivals"]),
                "endings": Counter({(scenario, ending): count for scenario, ending, count in raw["endings"]}),
                "unmet": Counter(raw["unmet"]),
                "notes": Counter(raw["notes"]),
                "late": Histogram.from_json(raw["late"]),
                "lag": Histogram.from_json(raw["lag"]),
            }
        )


class Recorder:
    """Takes what happens in one generator process and closes a frame each second. `clock`: seconds since the run
    began. Nothing here waits, and one process is one thread, so nothing is locked."""

    def __init__(self, *, worker: int, clock: Callable[[], float]) -> None:
        self.clock = self._clock = clock
        self._worker = worker
        self._now = Frame(at=0, worker=worker)
        self._moved_at = clock()
        self.present = 0
        self.in_flight = 0

    @property
    def frame(self) -> Frame:
        """The second that is going on, for what has no method here (connects, bytes_in, lag, notes)."""
        return self._now

    def arrived(self, *, scenario: str, late_seconds: float) -> None:
        self._pass_time()
        self.present += 1
        self._now.arrivals[scenario] += 1
        self._now.late.record(late_seconds)

    def ended(self, *, scenario: str, ending: Ending) -> None:
        self._pass_time()
        self.present -= 1
        self._now.endings[scenario, ending.value] += 1

    def unmet(self, *, scenario: str, why: str, count: int = 1) -> None:
        self._now.unmet[scenario] += count
        self._now.notes[why] += count

    def asked(self) -> None:
        """A request begins; its clock runs. It ends with `answered` or `cut_off`."""
        self._pass_time()
        self.in_flight += 1

    def sent(self) -> None:
        """Its first byte went out. One whose connection was refused was never sent."""
        self._now.sent += 1

    def cut_off(self) -> None:
        """Whoever asked left before the end of the run came: no outcome, and no figure."""
        self._pass_time()
        self.in_flight -= 1
        self._now.notes["requests cut off by the end"] += 1

    def answered(
        self,
        *,
        step: str,
        service: float,
        intended: float,
        outcome: Outcome,
        error: str = "",
        ended: float | None = None,
    ) -> None:
        """A request that was `asked` has ended; durations in seconds. `ended`: when, by the clock, where that was
        before now: since then it was waited for by us and no longer in flight."""
        self._pass_time()
        self.in_flight -= 1
        if ended is not None:
            self._now.in_flight_seconds -= max(0.0, self._moved_at - ended)
        tally = self._now.tallies.get(step)
        if tally is None:
            tally = self._now.tallies[step] = Tally()
        tally.outcomes[outcome] += 1
        if outcome is Outcome.SUCCESS:
            tally.service.record(service)
            tally.intended.record(intended)
            return
        tally.wrong.record(service)
        key = (step, outcome.value, error[:300])
        if key not in self._now.errors and len(self._now.errors) >= _EXAMPLES:
            key = (step, outcome.value, "(further kinds of error)")
        self._now.errors[key] += 1

    def close_second(self, *, at: int, cpu: float, rss_bytes: int, connections: int) -> Frame:
        """The frame of the second `at`, which is over; what follows goes into the next one."""
        self._pass_time()
        done, self._now = self._now, Frame(at=at + 1, worker=self._worker)
        done.at, done.cpu, done.rss_bytes, done.connections = at, cpu, rss_bytes, connections
        done.present, done.in_flight = self.present, self.in_flight
        return done

    def _pass_time(self) -> None:
        now = self._clock()
        passed, self._moved_at = now - self._moved_at, now
        self._now.in_flight_seconds += self.in_flight * passed
        self._now.present_seconds += self.present * passed
