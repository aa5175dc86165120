"""JSON-RPC over HTTP, as the nodes of both chains speak it: batches, time-outs, answers matched by id.

What comes from a node is bounded in size and time before it is understood, and whatever goes wrong is one of the errors
of `ico.chains.base`. Their texts may hold what a node said: cut, in one line, and never the address with its password.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import SplitResult

from ico.chains.answers import shown
from ico.chains.base import BadAnswer, ChainBusy, ChainError
from ico.chains.connection import Connection, TooLong
from ico.chunks import chunks

CALLS_AT_ONCE = 100  # in one request: what hosted nodes allow
FEW_BYTES = 2 * 2**20  # of one answer, where the caller does not expect more
MOST_BYTES = 64 * 2**20  # of any: a full Bitcoin block with everything in it takes 15 MB
MOST_VALUES = 3_000_000  # in one answer, each of which takes up to 150 bytes of memory; a full block has a tenth
MOST_DIGITS = 100  # of one whole number: 256 bits need 78
LONGEST = 200  # signs, of what is told of a node's message
_BUSY = (429, -32005)  # among the numbers of errors: what hosted nodes say when they are asked too much
_BUSY_WORDS = ("rate limit", "too many requests", "limit exceeded", "exceeded its compute")

Call = tuple[str, Sequence[Any]]  # a method and its parameters


class RpcError(ChainError):
    """The node understood the call and says that it cannot do it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the node answered with error {code}: {shown(message, LONGEST)}")
        self.code = code
        self.message = message


class Rpc:
    """One node. May be used by several threads, and on both sides of a fork: each has connections of its own.

    `seconds`: how long one answer may take, from asking to its last byte. `most_bytes`: more than that nobody may
    expect."""

    def __init__(self, address: SplitResult, *, seconds: float = 30.0, most_bytes: int = MOST_BYTES) -> None:
        self._address = address
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._ids = itertools.count(1)  # never the same again: a late answer matches nothing
        self._mine = threading.local()

    def call(self, method: str, *parameters: Any, seconds: float | None = None, most_bytes: int = FEW_BYTES) -> Any:
        """The result. Raises `RpcError`, or any other `ChainError`."""
        [answer] = self.batch([(method, parameters)], seconds=seconds, most_bytes=most_bytes)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(self, calls: Sequence[Call], *, seconds: float | None = None, most_bytes: int = FEW_BYTES) -> list[Any]:
        """The results in the order of the calls, an `RpcError` in the place of those that the node refused. More than
        `CALLS_AT_ONCE` go in several requests, each with `seconds` and `most_bytes` of its own."""
        answers: list[Any] = []
        for some in chunks(calls, CALLS_AT_ONCE):
            answers += self._ask(some, seconds or self._seconds, min(most_bytes, self._most_bytes))
        return answers

    def _ask(self, calls: Sequence[Call], seconds: float, most_bytes: int) -> list[Any]:
        numbered = {next(self._ids): call for call in calls}
        question = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(parameters)}
            for number, (method, parameters) in numbered.items()
        ]
        body = json.dumps(question).encode()
        return _in_order(list(numbered), _parsed(self._connection().post(body, seconds=seconds, most_bytes=most_bytes)))

    def _connection(self) -> Connection:
        """This thread's, in this process: with a parent's sockets, a child would take answers meant for the parent."""
        mine: Connection | None = getattr(self._mine, "connection", None)
        if mine is None or mine.process != os.getpid():
            mine = self._mine.connection = Connection(self._address)
        return mine


# --- what was answered ------------------------------------------------------------------------------------------------


def _parsed(body: bytes) -> Any:
    """Numbers with a point become `Decimal`: no satoshi is lost."""
    if sum(map(body.count, (b",", b"[", b"{"))) > MOST_VALUES:  # before anything is made of them
        raise TooLong(f"the answer holds more than {MOST_VALUES} values")
    try:
        return json.loads(body, parse_float=Decimal, parse_int=_whole, parse_constant=_no_number)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise BadAnswer(f"the answer is not JSON ({shown(str(error))}): {_beginning(body)}") from None


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")


def _beginning(body: bytes) -> str:
    return shown(body[:80].decode(errors="replace"))


def _in_order(numbers: Sequence[int], told: Any) -> list[Any]:
    if isinstance(told, dict) and told.get("error") is not None:
        raise _refusal(told["error"])  # of the whole batch
    if not isinstance(told, list):
        raise BadAnswer(f"the answer to a batch is no list: {shown(told)}")
    found: dict[int, Any] = {}
    for answer in told:
        number = answer.get("id") if isinstance(answer, dict) else None
        if type(number) is not int or number not in numbers:
            raise BadAnswer(f"an answer to nothing that was asked, its id is {shown(number)}")
        if number in found:
            raise BadAnswer("two answers have the same id")
        found[number] = _result(answer)
    if len(found) != len(numbers):
        raise BadAnswer(f"{len(numbers)} calls have {len(found)} answers")
    return [found[number] for number in numbers]


def _result(answer: dict[str, Any]) -> Any:
    if answer.get("error") is None:
        if "result" not in answer:
            raise BadAnswer("an answer has neither a result nor an error")
        return answer["result"]
    if answer.get("result") is not None:
        raise BadAnswer("an answer has a result and an error")
    return _refusal(answer["error"])


def _refusal(error: Any) -> RpcError:
    code, message = (error.get("code"), error.get("message", "")) if isinstance(error, dict) else (None, None)
    if type(code) is not int or not isinstance(message, str):
        raise BadAnswer(f"an error that is none: {shown(error)}")
    if code in _BUSY or any(word in message.lower() for word in _BUSY_WORDS):
        raise ChainBusy(f"the node asks to be asked less often: {shown(message, LONGEST)}")
    return RpcError(code, message)
