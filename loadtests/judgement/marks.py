"""One thing that was looked at, and what was found."""

from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    mark: Mark
    detail: str


def mark(holds: bool) -> Mark:
    return Mark.HOLDS if holds else Mark.BROKEN
