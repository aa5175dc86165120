"""The shapes that a plan may name, made from what its `[shape]` table says. Raises `ShapeMistake`."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from loadtests.shapes import SPACINGS, Piece, Shape, ShapeMistake, flat

Table = Mapping[str, Any]


def shape(table: Table, *, users: int | None) -> Shape:
    """`users`: as the plan states it; None where the curve itself says how many."""
    kind = table.get("kind", "poisson")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ShapeMistake("kind", f"must be one of {', '.join(KINDS)}")
    if "pieces" in table:
        return _literal(table, kind)
    make, keys = KINDS[kind]
    for key in table:
        if key not in (*keys, "kind", "spacing"):
            raise ShapeMistake(key, f"is nothing that {kind} knows; it has {', '.join((*keys, 'spacing'))}")
    made = make(table, users)
    spacing = table.get("spacing", made.spacing)
    if spacing not in SPACINGS or (kind in SPACINGS and spacing != kind):
        raise ShapeMistake("spacing", f"must be {kind if kind in SPACINGS else ' or '.join(SPACINGS)}")
    if kind not in (*SPACINGS, "burst") and users is not None:
        raise ShapeMistake("users", f"follows from the shape: this {kind} brings {made.people:.0f}; leave it out")
    return Shape(kind, made.pieces, spacing)


def _literal(table: Table, kind: str) -> Shape:
    """As the laboratory writes a plan down: [seconds, rate at its begin, at its end, people at once] each."""
    spacing, pieces = table.get("spacing", "poisson"), table["pieces"]
    if spacing not in SPACINGS:
        raise ShapeMistake("spacing", f"must be {' or '.join(SPACINGS)}")
    if not isinstance(pieces, list) or not pieces or not all(_quantities(piece, 4) for piece in pieces):
        raise ShapeMistake("pieces", "must be lists of four numbers, all 0 or above")
    return Shape(kind, tuple(Piece(*map(float, piece)) for piece in pieces), spacing)


def _flat(table: Table, users: int | None) -> Shape:
    kind = table.get("kind", "poisson")
    if users is None:
        rate, seconds = _number(table, "rate"), _number(table, "seconds")
        return flat(rate=rate, users=rate * seconds, spacing=kind)
    if ("rate" in table) == ("seconds" in table):
        raise ShapeMistake("rate", "or seconds must be given with users: one of them, the other follows")
    rate = _number(table, "rate") if "rate" in table else users / _number(table, "seconds")
    return flat(rate=rate, users=users, spacing=kind)


def _ramp(table: Table, _: int | None) -> Shape:
    begin, end = _number(table, "from", least=0), _number(table, "to", least=0)
    pieces = [Piece(_number(table, "seconds"), begin, end)]
    if "hold" in table:
        pieces.append(Piece(_number(table, "hold"), end, end))
    return Shape("ramp", tuple(pieces))


def _burst(table: Table, users: int | None) -> Shape:
    """All of them at once, or a part of them every so many seconds."""
    if users is None:
        raise ShapeMistake("users", "must say how many come at once")
    times = _whole(table, "times", 1)
    every = _number(table, "every") if times > 1 else 0.0
    parts = [Piece(every, 0, 0, users / times) for _ in range(times - 1)]
    return Shape("burst", (*parts, Piece(0, 0, 0, users / times)))


def _staircase(table: Table, _: int | None) -> Shape:
    begin, step = _number(table, "from", least=0), _number(table, "step")
    seconds = _number(table, "seconds")
    rates = [begin + step * index for index in range(_whole(table, "steps", None))]
    return Shape("staircase", tuple(Piece(seconds, rate, rate) for rate in rates))


def _spike(table: Table, _: int | None) -> Shape:
    rate, peak = _number(table, "rate", least=0), _number(table, "peak")
    at, width, seconds = _number(table, "at", least=0), _number(table, "width"), _number(table, "seconds")
    if at + width > seconds:
        raise ShapeMistake("width", "reaches beyond the shape's end: at + width is more than seconds")
    parts = (Piece(at, rate, rate), Piece(width, peak, peak), Piece(seconds - at - width, rate, rate))
    return Shape("spike", parts)


def _recorded(table: Table, _: int | None) -> Shape:
    """`points`: [second, arrivals per second], a straight line between; two at one second are a jump."""
    points = table.get("points")
    if (
        not isinstance(points, Sequence)
        or isinstance(points, str)
        or len(points) < 2
        or not all(_quantities(point, 2) for point in points)
    ):
        raise ShapeMistake("points", "must be two or more pairs of [second, arrivals per second], both 0 or above")
    if points[0][0] != 0 or any(later[0] < earlier[0] for earlier, later in pairwise(points)):
        raise ShapeMistake("points", "must begin at second 0 and go on in order")
    return Shape("recorded", tuple(Piece(b[0] - a[0], a[1], b[1]) for a, b in pairwise(points) if b[0] > a[0]))


def _quantities(value: object, count: int) -> bool:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        return False
    return all(_is_number(part) and 0 <= part < 1e9 for part in value)


def _number(table: Table, key: str, *, least: float | None = None) -> float:
    value = table.get(key)
    if value is None:
        raise ShapeMistake(key, "is missing")
    above = value > 0 if least is None and _is_number(value) else _is_number(value) and value >= (least or 0)
    if not above or not value < 1e9:
        raise ShapeMistake(key, "must be a number above 0" if least is None else f"must be a number from {least:g} on")
    return float(value)


def _whole(table: Table, key: str, otherwise: int | None) -> int:
    value = table.get(key, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1000:
        raise ShapeMistake(key, "must be a whole number from 1 to 1000")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


KINDS: dict[str, tuple[Callable[[Table, int | None], Shape], tuple[str, ...]]] = {
    "poisson": (_flat, ("rate", "seconds")),
    "constant": (_flat, ("rate", "seconds")),
    "ramp": (_ramp, ("from", "to", "seconds", "hold")),
    "burst": (_burst, ("times", "every")),
    "staircase": (_staircase, ("from", "step", "steps", "seconds")),
    "spike": (_spike, ("rate", "peak", "at", "width", "seconds")),
    "recorded": (_recorded, ("points",)),
}
