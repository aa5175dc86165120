"""The bytes of an answer, read: httptools parses, this gathers.

A `Reader` serves one answer after the other and goes back to a pool between them, so that a connection that sleeps
has none. What a head or a body may weigh is bounded: a target that goes wild must not take its generator with it.
"""

import zlib
from collections import OrderedDict
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

LONGEST_HEAD = 256 * 1024
LONGEST_BODY = 64 * 1024 * 1024
LONGEST_PLAIN = 8 * 1024 * 1024  # of a coded body: the loop stands while it is undone
HELD_AT_ONCE = 512 * 1024 * 1024  # of all answers that are still coming in, in one process
_REMEMBERED_BYTES = 8 * 1024 * 1024
_BODILESS = (204, 304)


class Garbled(Exception):
    """What came is no HTTP/1.1 answer that can be read; the message says why."""


class Held:
    """Bytes of all answers that are being read by one process."""

    def __init__(self) -> None:
        self.size = 0


class Reader:
    """Fed with bytes until `complete`. Afterwards `reusable` says whether it can read the next answer."""

    __slots__ = (
        "_head_bytes",
        "_head_done",
        "_held",
        "_names",
        "_parser",
        "_parts",
        "_size",
        "_until_close",
        "bare",
        "complete",
        "cookies",
        "excess",
        "headers",
        "keep_alive",
        "reusable",
        "status",
    )

    def __init__(self, held: Held | None = None) -> None:
        self._held = held or Held()
        self._size = 0
        self._parser = HttpResponseParser(self)
        self._names: dict[bytes, str] = {}
        self.begin()

    def begin(self) -> None:
        """A new answer. `bare`: to a HEAD request, which has no body whatever its headers say."""
        self.bare = False
        self.release()
        self._head_bytes = 0
        self._head_done = self._until_close = False
        self.headers: dict[str, str] = {}
        self.cookies: tuple[str, ...] = ()
        self.status = 0
        self.complete = self.keep_alive = self.excess = False
        self.reusable = True

    def release(self) -> None:
        """What was read is not needed any more."""
        self._held.size -= self._size
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def body(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def feed(self, received: bytes) -> None:
        """Raises `Garbled`."""
        if not self._head_done:
            self._head_bytes += len(received)
        try:
            self._parser.feed_data(received)
        except HttpParserUpgrade:  # another protocol follows; what was said in this one is an answer
            self.reusable = self.keep_alive = False
            self.complete = self._head_done
        except HttpParserError as error:
            self.reusable = self.keep_alive = False
            if not self.complete:
                raise Garbled(f"no HTTP answer: {error}"[:200]) from error
            self.excess = True
        if not self._head_done and self._head_bytes > LONGEST_HEAD:
            raise Garbled(f"a head of more than {LONGEST_HEAD} bytes")
        if self._size > LONGEST_BODY:
            raise Garbled(f"a body of more than {LONGEST_BODY} bytes")
        if self._held.size > HELD_AT_ONCE:
            raise Garbled(f"answers of more than {HELD_AT_ONCE} bytes at once")

    def closed(self) -> bool:
        """The other side closed; True where that is how this answer ends."""
        self.reusable = self.keep_alive = False
        if self._head_done and self._until_close:
            self.complete = True
        return self.complete

    # What httptools calls.

    def on_message_begin(self) -> None:
        self.excess = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            return  # a trailer, or of an answer that nobody asked for
        known = self._names.get(name) or self._learn(name)
        text = value.decode("latin-1")
        if known == "set-cookie":
            self.cookies += (text,)
        before = self.headers.get(known)
        self.headers[known] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        if self._head_done:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self.headers.clear()
            return
        self.status = status
        self._head_done = True
        self.keep_alive = self._parser.should_keep_alive()
        if self.bare:
            self.complete, self.reusable = True, status in _BODILESS
            self.keep_alive = self.keep_alive or self._delimited()
            return
        self._until_close = not self.keep_alive and not self._delimited() and status not in _BODILESS

    def on_body(self, body: bytes) -> None:
        if self.complete:
            self.excess = True
            return
        self._size += len(body)
        self._held.size += len(body)
        if self._size <= LONGEST_BODY:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._head_done:
            self.complete = True

    def _delimited(self) -> bool:
        return "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower()

    def _learn(self, name: bytes) -> str:
        if len(self._names) > 1000:
            self._names.clear()
        known = self._names[name] = name.decode("latin-1").lower()
        return known


class Codings:
    """Undoes gzip and deflate. What many visitors are sent is undone once: pages that are the same for all."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def undone(self, body: bytes, coding: str) -> bytes:
        """Raises `Garbled`."""
        if coding in ("", "identity") or not body:
            return body
        if coding not in ("gzip", "x-gzip", "deflate"):
            raise Garbled(f"a content coding nobody asked for: {coding[:40]!r}")
        known = self._known.get(body)
        return self._remember(body, _inflated(body)) if known is None else known

    def _remember(self, body: bytes, plain: bytes) -> bytes:
        self._known[body] = plain
        self._bytes += len(body) + len(plain)
        while self._bytes > _REMEMBERED_BYTES:
            self._bytes -= sum(map(len, self._known.popitem(last=False)))
        return plain


def _inflated(body: bytes) -> bytes:
    # 32: gzip or zlib by its head. At most LONGEST_PLAIN comes out, however small it came.
    unpacker: Any = zlib.decompressobj(32 + zlib.MAX_WBITS)
    try:
        plain: bytes = unpacker.decompress(body, LONGEST_PLAIN)
    except zlib.error as error:
        raise Garbled(f"the content coding cannot be undone: {error}") from error
    if not unpacker.eof:
        raise Garbled("a coded body that is cut off or too long")
    return plain
