"""The conductor's ear: Locust's MasterRunner, at a port that is free, and deaf to what would break it.

Anybody who reaches the port can say anything to it. Locust takes messages apart without looking at them, and a message
that is not as it expects ends its listening for good; and it believes whoever names a worker.
"""

# Importing locust patches the standard library, so it comes before everything else.
import locust  # noqa: F401  isort: skip

import random
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import gevent
import zmq
from locust.env import Environment
from locust.exception import RPCError
from locust.rpc import Message
from locust.runners import MasterRunner

# What is needed of Locust's own. Statistics and logs are not: ours travel sealed.
KINDS = ("client_ready", "heartbeat", "client_stopped", "quit")
OURS = "lab."
TRIES = 200
MOST_SAID = 10


class Ear(MasterRunner):  # type: ignore[misc]  # Locust has no types
    def __init__(self, environment: Environment, host: str, port: int, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = 0
        super().__init__(environment, host, port)

    def client_listener(self) -> None:
        while True:
            try:
                client, message = self.server.recv_from_client()
                if self._is_from(client, message):
                    self.handle_message(client, message)
            except RPCError as broken:
                self._tell(f"no message can be received: {broken}")
                gevent.sleep(0.1)
            except Exception as error:  # noqa: BLE001  # whatever a stranger's message breaks is the stranger's
                self._tell(f"a message was not understood: {type(error).__name__}")

    @staticmethod
    def _is_from(client: str, message: Message) -> bool:
        kind = message.type
        return message.node_id == client and isinstance(kind, str) and (kind in KINDS or kind.startswith(OURS))

    def _tell(self, what: str) -> None:
        self._said += 1
        if self._said <= MOST_SAID:
            self._say(what)


def first_free(host: str, *, ports: Iterable[int], say: Callable[[str], None]) -> Ear:
    """At the first of them that nobody holds. Raises `OSError`."""
    for port in ports:
        if port and not _is_free(host, port):
            continue
        environment = Environment(user_classes=[])
        try:
            ear = environment.runner = Ear(environment, host, port, say=say)
        except (RPCError, zmq.ZMQError):
            continue
        return ear
    raise OSError(f"no port is free at {host}")


def anywhere() -> Iterator[int]:
    """The kernel's choice; when a run before this one has left all of those waiting (TIME_WAIT), any of the ports that
    are not given to connections."""
    yield 0
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    chance = random.SystemRandom()
    yield from (chance.randrange(lowest // 2, lowest) for _ in range(TRIES))


def _is_free(host: str, port: int) -> bool:
    """Asked before Locust is: it ends the process over a port that is held."""
    try:
        name = None if host == "*" else host
        family, kind, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as asked:
            asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            asked.bind(address)
    except OSError:
        return False
    return True
