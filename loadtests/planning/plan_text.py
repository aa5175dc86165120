"""Where in a plan's text a key stands, and a plan written as text."""

import re
from typing import Any

from loadtests.plans import Plan
from loadtests.shapes import flat

_TABLES = ("mix", "expected", "weights")
_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*([A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*\s*=")


def line_of(text: str, path: tuple[str, ...]) -> int | None:
    """The line, from 1, of a key, or of the nearest table around it; None where the file has neither."""
    found: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for at, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = _parts(header[1])
            found.setdefault(section, at)
        elif key := _KEY.match(line):
            whole = (*section, *_parts(key[0].rstrip().removesuffix("=")))
            for depth in range(1, len(whole) + 1):
                found.setdefault(whole[:depth], at)
    return next((found[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in found), None)


def _parts(dotted: str) -> tuple[str, ...]:
    quoted = re.findall(r"\"([^\"]*)\"|'([^']*)'|([A-Za-z0-9_-]+)", dotted)
    return tuple(next(part for part in parts if part) for parts in quoted if any(parts))


def as_toml(plan: Plan, *, brief: bool = False) -> str:
    """The plan as a file that reads back as the same plan. `brief`: to go on from; without what is so by default."""
    usual = Plan(plan.name, plan.mix, plan.users, plan.shape, log=plan.log).as_json() if brief else {}
    said = {
        key: value
        for key, value in plan.as_json().items()
        if key not in usual or value != usual[key] or key in ("mix", "users") or (key == "log" and value)
    }
    lines = [f"{key} = {_value(value)}" for key, value in said.items() if key not in ("shape", *_TABLES)]
    for name in (name for name in _TABLES if name in said):
        lines += ["", f"[{name}]", *(f"{_value(key)} = {_value(value)}" for key, value in said[name].items())]
    return "\n".join([*lines, "", "[shape]", f"kind = {_value(plan.shape.kind)}", *_curve(plan), ""])


def _curve(plan: Plan) -> list[str]:
    """As somebody would write it where the rate is one and the same; else in pieces, whatever it was called."""
    shape = plan.shape
    rate = shape.pieces[0].begin
    if rate and shape == flat(rate=rate, users=plan.users, spacing=shape.spacing):
        return [f"rate = {_value(rate)}"]
    pieces = [[piece.seconds, piece.begin, piece.end, piece.at_once] for piece in shape.pieces]
    return [
        f"spacing = {_value(shape.spacing)}",
        "# [seconds, arrivals/s at its begin, at its end, people at once]",
        f"pieces = {_value(pieces)}",
    ]


def _value(value: Any) -> str:
    if isinstance(value, str):
        escaped = "".join(rf"\u{ord(c):04x}" if c in '"\\' or c < " " or c == "\x7f" else c for c in value)
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
