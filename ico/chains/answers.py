"""Parsed JSON that a node answered, read strictly: what is common to both chains. Whatever cannot be true raises
`BadAnswer` naming it."""

from __future__ import annotations

import re
from itertools import islice
from reprlib import Repr
from typing import Any, TypeVar

from ico.chains.base import BadAnswer

T = TypeVar("T")


class _Beginning(Repr):
    """The beginning of a structure, however large or deep it is."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist = 3, 4
        self.maxstring = self.maxlong = self.maxother = 200

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        """Not sorted first, which takes long where there are many."""
        if level <= 0:
            return "{...}"
        shown = [f"{self.repr1(name, level - 1)}: {self.repr1(x[name], level - 1)}" for name in islice(x, self.maxdict)]
        return "{" + ", ".join([*shown, *(["..."] if len(x) > self.maxdict else [])]) + "}"


_beginning = _Beginning()


def shown(said: object, most: int = 80) -> str:
    """What a node said, to be read by operators: short, in one line."""
    text = said if isinstance(said, str) else _beginning.repr(said)
    return repr(text[:most])[: most + 2]


def mapping(told: Any, what: str) -> dict[str, Any]:
    return _of(dict, told, what)


def listing(told: Any, what: str) -> list[Any]:
    return _of(list, told, what)


def digest(told: Any, what: str, *, form: re.Pattern[str]) -> str:
    """A block's hash or a txid."""
    if not isinstance(told, str) or not form.fullmatch(told):
        raise BadAnswer(f"{what} is no hash: {shown(told)}")
    return told


def _of(kind: type[T], told: Any, what: str) -> T:
    if not isinstance(told, kind):
        raise BadAnswer(f"{what} is no {'list' if kind is list else 'object'}: {shown(told)}")
    return told
