"""The seconds of a run, put together from what each generator saw of them and from what was read beside it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.frames import Frame, Tally

Probed = Mapping[tuple[str, str], float]  # (metric, group or gauge) -> value of this second


@dataclass(slots=True)
class Second:
    """What all generators together saw in one second; `cpu` is that of the busiest."""

    at: int
    frames: Sequence[Frame]
    probed: Probed = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for frame in self.frames:
            for name, tally in frame.tallies.items():
                self.tallies.setdefault(name, Tally()).add(tally)


def seconds(frames: Iterable[Frame], probes: Mapping[str, Any] | None = None) -> Iterator[Second]:
    """In order, without gaps, from 0 to the last. `probes`: as the record keeps them."""
    by_second, probed = _by_second(frames), probed_by_second(probes)
    for at in range(max(by_second, default=-1) + 1):
        yield Second(at, by_second.get(at, ()), probed.get(at, {}))


def probed_by_second(probes: Mapping[str, Any] | None) -> dict[int, dict[tuple[str, str], float]]:
    """What probes saw, by second of the run; what they did not see is left out."""
    found: dict[int, dict[tuple[str, str], float]] = {}
    if not probes:
        return found
    columns = {("gauge", name): values for name, values in probes.get("gauges", {}).items()}
    for group, series in probes.get("groups", {}).items():
        names = {"cpu": "cpu", "rss_bytes": "rss", "descriptors": "descriptors", "sockets": "sockets"}
        columns |= {(metric, group): series[name] for name, metric in names.items() if name in series}
    for key, values in columns.items():
        for at, value in zip(probes["at"], values, strict=False):
            if value is not None:
                found.setdefault(int(at), {})[key] = float(value)
    return found


def _by_second(frames: Iterable[Frame]) -> dict[int, list[Frame]]:
    found: dict[int, list[Frame]] = {}
    for frame in frames:
        found.setdefault(frame.at, []).append(frame)
    return found
