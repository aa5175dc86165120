"""What the server of known answers really did, by name and kind, and the bytes of its answers."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from loadtests.calibrating.programme import Planned, Programme
from loadtests.histogram import Histogram

_HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n"
_FAULTY = {"garbage": b"\x00\x16\x03 this is not HTTP\r\n\r\n", "close": b"", "reset": b""}


class Said:
    """What was really done under one name. Durations: from the request received to its last byte written."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.right = Histogram()
        self.wrong = Histogram()

    def as_json(self) -> dict[str, Any]:
        return {
            "answers": dict(self.kinds),
            "right_ms": self.right.summary(),
            "wrong_ms": self.wrong.summary(),
            "right": self.right.as_json(),
            "wrong": self.wrong.as_json(),
        }


class Truth:
    """Everything since the last reset. `lag`: how long after its moment an answer was begun."""

    def __init__(self) -> None:
        self.began, self.cpu = time.monotonic(), time.process_time()
        self.accepted = self.received = 0
        self.said: dict[str, Said] = {}
        self.lag = Histogram()

    def as_json(self, open_now: int) -> dict[str, Any]:
        passed = time.monotonic() - self.began
        return {
            "seconds": passed,
            "cpu": (time.process_time() - self.cpu) / max(1e-9, passed),
            "accepted": self.accepted,
            "open": open_now,
            "received": self.received,
            "lag_ms": self.lag.summary(),
            "by": {name: said.as_json() for name, said in self.said.items()},
        }


class Playing:
    """A programme that is asked for: its draws, and its clock."""

    __slots__ = ("began", "bodies", "draws", "programme")

    def __init__(self, programme: Programme, now: float) -> None:
        self.programme = programme
        self.began = now
        self.draws: Iterator[Planned] = programme.draws()
        self.bodies: dict[str, bytes] = {}

    def body(self, kind: str) -> bytes:
        found = self.bodies.get(kind)
        if found is None:
            found = self.bodies[kind] = answer(kind, self.programme.size)
        return found


def answer(kind: str, size: int) -> bytes:
    """The bytes of an answer of this kind with a body of so many."""
    if kind in _FAULTY:
        return _FAULTY[kind]
    status = f"{kind} Known".encode() if kind.isdecimal() else b"200 OK"
    whole = with_body(status, b"." * size)
    if kind == "half":
        return with_body(status, b".." + b"." * size)[: -1 - size // 2]
    if kind == "headers":
        return whole.replace(b"\r\n", b"\r\nX-Much: " + b"m" * (1 << 20) + b"\r\n", 1)
    return whole


def with_body(status: bytes, body: bytes, content_type: bytes = b"text/plain") -> bytes:
    return _HEAD % (status, content_type, len(body)) + body
