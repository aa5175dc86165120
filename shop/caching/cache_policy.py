"""What `cache_policy.toml` says. No Django here: nginx's files are written from it as well."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class Policy:
    """How long pages of one kind may be kept, in seconds, and which query parameters they know (name: pattern of the
    value as it stands in an address). See the file."""

    kind: str
    path: str
    edge: int
    browser: int
    page: int
    stale: int
    known: Mapping[str, str]


@cache
def policies() -> Mapping[str, Policy]:
    """By kind. Raises KeyError, TypeError or a TOML error for a file that is wrong: nothing starts with it."""
    said = tomllib.loads(FILE.read_text())
    values = said["values"]
    return {
        kind: Policy(kind=kind, **{**fields, "known": {name: values[like] for name, like in fields["known"].items()}})
        for kind, fields in said["kinds"].items()
    }
