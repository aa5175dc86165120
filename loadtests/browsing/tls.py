"""A connection with TLS, over the same epoll. OpenSSL works on two buffers, and never on the socket.

Beyond this machine a certificate must be good, by the authorities of the system or by the file that
`STAMPEDE_LOAD_CA` names: whoever stands in between could pass the one challenge on to the target, and take all that
follows, passwords and invitations too. On this machine nobody stands in between, and certificates are home-made.
"""

import os
import ssl
from typing import TYPE_CHECKING, Any

from loadtests.browsing.reading import LONGEST_BODY
from loadtests.browsing.wire import Connection
from loadtests.target import Target, TargetRefused

if TYPE_CHECKING:
    from loadtests.browsing.wires import Wires

AUTHORITIES = "STAMPEDE_LOAD_CA"


def context(target: Target, kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """`kind`: gevent has one of its own. Raises `TargetRefused`."""
    made = kind(ssl.PROTOCOL_TLS_CLIENT)
    if target.is_here:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    else:
        _trust_authorities(made, os.environ.get(AUTHORITIES, ""))
    made.set_alpn_protocols(["http/1.1"])
    return made


def _trust_authorities(made: ssl.SSLContext, named: str) -> None:
    if not named:
        made.load_default_certs()
        return
    try:
        made.load_verify_locations(named)
    except OSError as error:
        raise TargetRefused(f"{AUTHORITIES}={named} holds no certificates: {error}") from error


class TlsConnection(Connection):
    """`_sealed`: what is encrypted and has not gone out yet."""

    __slots__ = ("_from_wire", "_sealed", "_shaken", "_tls", "_to_wire")

    def __init__(self, wires: "Wires", sock: Any, connected: bool, trust: ssl.SSLContext, host: str) -> None:
        super().__init__(wires, sock, connected)
        self._from_wire, self._to_wire = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trust.wrap_bio(self._from_wire, self._to_wire, server_hostname=host)
        self._shaken = False
        self._sealed = b""

    def is_dead(self) -> bool:
        """Bytes that wait may be a session ticket; only an end is an end."""
        return self._peek() in (b"", None)

    def _established(self) -> None:
        self._shake()

    def _send(self) -> None:
        if not self._shaken:
            return self._shake()
        if self._outgoing:
            plain, self._outgoing = self._outgoing, b""
            self._tls.write(plain)
            self._begun()
        self._flush()

    def _flush(self) -> None:
        self._sealed += self._to_wire.read()
        if self._sealed:
            self._sealed = self._transmit(self._sealed)

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return self._flush()
        except ssl.SSLError as error:
            return self._break(f"TLS: {error.reason or error}")
        self._shaken = True
        self._send()

    def _take(self, received: bytes, at: float) -> None:
        if not received:
            return super()._take(b"", at)
        self._from_wire.write(received)
        if not self._shaken:
            self._shake()
        if self._shaken and not self.closed:
            self._open_sealed(at)

    def _open_sealed(self, at: float) -> None:
        plain, ended = b"", False
        try:
            while part := self._tls.read(LONGEST_BODY):
                plain += part
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            return self._break(f"TLS: {error.reason or error}")
        if plain:
            super()._take(plain, at)
        if ended and not self.closed:
            super()._take(b"", at)
