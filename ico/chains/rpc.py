"""JSON-RPC over HTTP, as the nodes of both chains speak it: batches, time-outs, answers matched by id.

What comes from a node is bounded in size and time before it is understood, and whatever goes wrong is one of the errors
of `ico.chains.base`. Their texts may hold what a node said: cut, in one line, and never the address with its password.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NoReturn
from urllib.parse import SplitResult, unquote

import httpx

from ico.chains.base import BadAnswer, ChainBusy, ChainError, ChainUnavailable

CALLS_AT_ONCE = 100  # in one request: what hosted nodes allow
MOST_BYTES = 64 * 2**20  # of one answer: a full Bitcoin block with everything in it takes 15 MB
MOST_DIGITS = 100  # of one whole number: 256 bits need 78
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 20.0  # Bitcoin nodes hang up after 30
_BUSY = (429, -32005)  # among the numbers of errors: what hosted nodes say when they are asked too much
_BUSY_WORDS = ("rate limit", "too many requests", "limit exceeded", "exceeded its compute")

Call = tuple[str, Sequence[Any]]  # a method and its parameters


class RpcError(ChainError):
    """The node understood the call and says that it cannot do it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the node answered with error {code}: {shown(message)}")
        self.code = code
        self.message = message


def shown(said: object, most: int = 200) -> str:
    """What a node said, to be read by operators: short, in one line."""
    text = said if isinstance(said, str) else repr(said)
    return repr(text[:most])[: most + 2]


class _Connection:
    """Closed when nobody has it any more: with the end of its thread, or of the `Rpc`."""

    def __init__(self, login: tuple[str, str] | None) -> None:
        self.process = os.getpid()
        limits = httpx.Limits(max_connections=1, keepalive_expiry=IDLE_SECONDS)
        # Proxies and logins that the environment names are meant for other addresses.
        self.client = httpx.Client(auth=login, limits=limits, trust_env=False)
        weakref.finalize(self, self.client.close)


class Rpc:
    """One node. May be used by several threads, and on both sides of a fork: each has connections of its own.

    `seconds`: how long one answer may take, from asking to its last byte."""

    def __init__(self, address: SplitResult, *, seconds: float = 30.0, most_bytes: int = MOST_BYTES) -> None:
        self.where = f"{address.hostname}:{address.port}" if address.port else str(address.hostname)
        path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
        self._url = httpx.URL(f"{address.scheme}://{address.netloc.rpartition('@')[2]}{path}")
        # Beside the address and not in it: addresses are logged.
        self._login = (unquote(address.username), unquote(address.password or "")) if address.username else None
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._ids = itertools.count(1)  # never the same again: a late answer matches nothing
        self._mine = threading.local()

    def call(self, method: str, *parameters: Any, seconds: float | None = None) -> Any:
        """The result. Raises `RpcError`, or any other `ChainError`."""
        [answer] = self.batch([(method, parameters)], seconds=seconds)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def batch(self, calls: Sequence[Call], *, seconds: float | None = None) -> list[Any]:
        """The results in the order of the calls, an `RpcError` in the place of those that the node refused. More than
        `CALLS_AT_ONCE` go in several requests, each with `seconds` of its own."""
        answers: list[Any] = []
        for start in range(0, len(calls), CALLS_AT_ONCE):
            answers += self._ask(calls[start : start + CALLS_AT_ONCE], seconds or self._seconds)
        return answers

    def _ask(self, calls: Sequence[Call], seconds: float) -> list[Any]:
        numbered = {next(self._ids): call for call in calls}
        question = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(parameters)}
            for number, (method, parameters) in numbered.items()
        ]
        told = _parsed(self._post(json.dumps(question).encode(), seconds))
        return _in_order(list(numbered), told)

    # --- the connection -----------------------------------------------------------------------------------------------

    def _client(self) -> httpx.Client:
        """This thread's, in this process: with a parent's sockets, a child would take answers meant for the parent."""
        mine: _Connection | None = getattr(self._mine, "connection", None)
        if mine is None or mine.process != os.getpid():
            mine = self._mine.connection = _Connection(self._login)
        return mine.client

    def _post(self, body: bytes, seconds: float) -> bytes:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        deadline = time.monotonic() + seconds
        try:
            with self._client().stream("POST", self._url, content=body, headers=headers, timeout=timeout) as response:
                self._must_be_an_answer(response)
                return b"".join(self._pieces(response, deadline, seconds))
        except httpx.TimeoutException:
            raise ChainUnavailable(f"the node at {self.where} did not answer within {seconds:g} s") from None
        except httpx.HTTPError as error:
            raise ChainUnavailable(f"the node at {self.where} cannot be asked: {shown(str(error))}") from None

    def _must_be_an_answer(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 429:
            raise ChainBusy(f"the node at {self.where} asks to be asked less often")
        if status in (401, 403):
            raise ChainUnavailable(f"the node at {self.where} refused the credentials (HTTP {status})")
        if status != 200:
            raise ChainUnavailable(f"the node at {self.where} answered with HTTP {status}")
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise BadAnswer("the answer is compressed, which was not asked for")

    def _pieces(self, response: httpx.Response, deadline: float, seconds: float) -> Iterator[bytes]:
        size = 0
        for piece in response.iter_raw():
            size += len(piece)
            if size > self._most_bytes:
                raise BadAnswer(f"the answer has more than {self._most_bytes} bytes")
            if time.monotonic() > deadline:  # the time-outs of httpx are those of one piece
                raise ChainUnavailable(f"the node at {self.where} had not answered whole after {seconds:g} s")
            yield piece


# --- what was answered ------------------------------------------------------------------------------------------------


def _parsed(body: bytes) -> Any:
    """Numbers with a point become `Decimal`: no satoshi is lost."""
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
        raise ChainBusy(f"the node asks to be asked less often: {shown(message)}")
    return RpcError(code, message)
