"""What is known of a run, for whoever looks for what gave way: the generators' series and the probes', read safely. A
target on another machine shows little, and a figure that nobody learned is None and never 0."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadtests.causes.courses import Course

LABORATORY = "laboratory"


@dataclass(frozen=True, slots=True)
class Scene:
    """`results`: as `stats.measured` gives them. `probes`: as `probes.read` gives them, or None."""

    results: Mapping[str, Any]
    probes: Mapping[str, Any]

    def seen(self, name: str) -> Course:
        """A series of the generators."""
        return list((self.results.get("series") or {}).get(name) or [])

    def gauge(self, name: str) -> Course:
        return list((self.probes.get("gauges") or {}).get(name) or [])

    def gauges(self, first: str, last: str) -> dict[str, Course]:
        """All gauges called `first`.<something>.`last`, by that something."""
        names = [name for name in self.probes.get("gauges") or {} if name.startswith(f"{first}.")]
        return {name[len(first) + 1 : -len(last) - 1]: self.gauge(name) for name in names if name.endswith(f".{last}")}

    def group(self, name: str, figure: str = "cpu") -> Course:
        return list(((self.probes.get("groups") or {}).get(name) or {}).get(figure) or [])

    @property
    def groups(self) -> list[str]:
        return list(self.probes.get("groups") or {})

    @property
    def nodes(self) -> list[str]:
        """The databases, the primary first."""
        named = {name.split(".")[1] for name in self.probes.get("gauges") or {} if name.startswith("mariadb.")}
        return sorted(named, key=lambda name: (name != "primary", name))

    @property
    def host(self) -> Course:
        """The share of the machine's processors that is in use, by whomever."""
        return list((self.probes.get("host") or {}).get("cpu") or [])

    @property
    def cores(self) -> float:
        known = [value for value in (self.probes.get("host") or {}).get("cores") or [] if value]
        return float(known[-1]) if known else 1.0

    @property
    def others(self) -> Course:
        """Cores that were taken by processes of neither the target nor the laboratory, or by another guest of the
        machine that this one is a guest of."""
        rows = [self.group(name) for name in self.groups]
        found: list[float | None] = []
        for at, share in enumerate(self.host):
            known = [row[at] for row in rows if at < len(row)]
            sums = sum(value for value in known if value is not None)
            found.append(None if share is None or not known else max(0.0, share * self.cores - sums))
        return found
