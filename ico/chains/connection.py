"""One HTTP connection to a node. An answer is bounded in bytes, and in time from asking to its last byte: also one that
drips in byte by byte, or says for ever that it will come soon.

That needs httpcore itself, on which httpx is built: time-outs of httpx begin anew with each piece that is read.
"""

from __future__ import annotations

import os
import ssl
import time
import weakref
from base64 import b64encode
from collections.abc import Iterable, Iterator
from string import punctuation
from urllib.parse import SplitResult, quote, unquote

import httpcore

from ico.chains.answers import shown
from ico.chains.base import BadAnswer, ChainBusy, ChainUnavailable

CONNECT_SECONDS = 5.0
IDLE_SECONDS = 20.0  # Bitcoin nodes hang up after 30
PIECE = 65_536  # bytes that are sent at once
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


class TooLong(BadAnswer):
    """The answer is longer than any that makes sense. Its rest was not read."""


class Refused(ChainUnavailable):
    """The node does not know our name and password, or does not allow them what was asked."""


class _Deadline:
    def __init__(self) -> None:
        self._at = 0.0

    def begin(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises `httpcore.TimeoutException` when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for the whole answer is over")
        return left


class _Stream(httpcore.NetworkStream):
    """Each step may take what is left of the time for the whole."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: _Deadline) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), PIECE):
            self._inner.write(buffer[start : start + PIECE], self._deadline.left())

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._deadline.left()), self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, deadline: _Deadline) -> None:
        self._inner = httpcore.SyncBackend()
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = min(CONNECT_SECONDS, self._deadline.left())
        return _Stream(self._inner.connect_tcp(host, port, seconds, local_address, socket_options), self._deadline)


class Connection:
    """For one thread of one process. Closed when nobody has it any more. It keeps no cookies, follows to no other
    address, and takes neither proxies nor logins from the environment, which are meant for other addresses."""

    def __init__(self, address: SplitResult) -> None:
        self.process = os.getpid()
        self._where = where(address)
        host = address.netloc.rpartition("@")[2]
        path = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
        self._url = f"{address.scheme}://{host}{quote(path, safe=punctuation)}"
        self._headers = [
            ("Host", host),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            *_login(address),
        ]
        self._deadline = _Deadline()
        self._pool = httpcore.ConnectionPool(
            max_connections=1, keepalive_expiry=IDLE_SECONDS, network_backend=_Backend(self._deadline)
        )
        weakref.finalize(self, self._pool.close)

    def post(self, body: bytes, *, seconds: float, most_bytes: int) -> bytes:
        """What is answered. Raises `ChainUnavailable`, `ChainBusy`, `TooLong` or `BadAnswer`."""
        self._deadline.begin(seconds)
        try:
            with self._pool.stream("POST", self._url, headers=self._headers, content=body) as response:
                self._must_be_an_answer(response)
                return b"".join(_pieces(response, most_bytes))
        except httpcore.TimeoutException:
            raise ChainUnavailable(f"the node at {self._where} did not answer within {seconds:g} s") from None
        except _BROKEN as error:
            raise ChainUnavailable(f"the node at {self._where} cannot be asked: {shown(str(error), 200)}") from None

    def _must_be_an_answer(self, response: httpcore.Response) -> None:
        status = response.status
        if status == 429:
            raise ChainBusy(f"the node at {self._where} asks to be asked less often")
        if status in (401, 403):
            raise Refused(f"the node at {self._where} refused the credentials (HTTP {status})")
        if status != 200:
            raise ChainUnavailable(f"the node at {self._where} answered with HTTP {status}")
        if any(name.lower() == b"content-encoding" and value != b"identity" for name, value in response.headers):
            raise BadAnswer("the answer is compressed, which was not asked for")


def where(address: SplitResult) -> str:
    """Host and port, without name and password."""
    return f"{address.hostname}:{address.port}" if address.port else str(address.hostname)


def _login(address: SplitResult) -> list[tuple[str, str]]:
    """Beside the address and not in it: addresses are logged."""
    if not address.username:
        return []
    login = f"{unquote(address.username)}:{unquote(address.password or '')}"
    return [("Authorization", f"Basic {b64encode(login.encode()).decode()}")]


def _pieces(response: httpcore.Response, most_bytes: int) -> Iterator[bytes]:
    size = 0
    for piece in response.iter_stream():
        size += len(piece)
        if size > most_bytes:
            raise TooLong(f"the answer has more than {most_bytes} bytes")
        yield piece
