"""Does a program of the stack answer? Asked the way its clients ask, not by looking for its process."""

import socket
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

from deploy.local import anvil, environment, mariadb
from deploy.local.asking import ask
from deploy.local.layout import HOST, NODES, PORTS, Layout

SECONDS = 2.0


def trouble(layout: Layout, name: str) -> str | None:
    """Why the program does not answer; None when it does, or when it is one that nobody can ask."""
    try:
        return _ASK[name](layout) if name in _ASK else None
    except Exception as error:  # noqa: BLE001 (whatever a client may raise here is the answer)
        return f"{type(error).__name__}: {error}"


def address(layout: Layout, name: str) -> str:
    return f"{HOST}:{layout.port(name)}" if name in PORTS else ""


def lag(layout: Layout, replica: str) -> float | None:
    """Seconds that the replica says to be behind; None when it is not applying anything, which may mean any age."""
    behind = mariadb.replication(layout, replica).get("Seconds_Behind_Master")
    return None if behind is None else float(behind)


def _select(node: str) -> Callable[[Layout], str | None]:
    def ask(layout: Layout) -> str | None:
        with mariadb.as_application(layout, node) as cursor:
            cursor.execute("SELECT 1")
        return None if node == NODES[0] else _replicating(layout, node)

    return ask


def _replicating(layout: Layout, replica: str) -> str | None:
    found = mariadb.replication(layout, replica)
    if found.get("Slave_IO_Running") == "Yes" and found.get("Slave_SQL_Running") == "Yes":
        return None
    said = found.get("Last_IO_Error") or found.get("Last_SQL_Error") or found.get("Slave_IO_State") or "not started"
    return f"does not replicate: {said}"


def node_is_up(layout: Layout, node: str) -> str | None:
    """Like `trouble`, before there are accounts: does the administrator get in?"""
    try:
        with mariadb.admin(layout, node) as cursor:
            cursor.execute("SELECT 1")
    except Exception as error:  # noqa: BLE001 (as above)
        return f"{type(error).__name__}: {error}"
    return None


def _line(layout: Layout, name: str, question: bytes, expected: bytes) -> str | None:
    with socket.create_connection((HOST, layout.port(name)), timeout=SECONDS) as connection:
        connection.sendall(question)
        answer = connection.recv(200)
    return None if answer.startswith(expected) else f"answered {answer[:60]!r}"


def _get(layout: Layout, name: str, path: str) -> str | None:
    connection = HTTPConnection(HOST, layout.port(name), timeout=SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except HTTPException as error:
        return f"no HTTP: {error}"
    finally:
        connection.close()
    return None if status == 200 else f"{path} answered {status}"


def _ethereum(layout: Layout) -> str | None:
    found = int(ask(environment.ethereum(layout), "eth_chainId", seconds=SECONDS), 16)
    return None if found == anvil.CHAIN_ID else f"its chain's id is {found}"


def _bitcoin(layout: Layout) -> str | None:
    found = ask(environment.bitcoin(layout), "getblockchaininfo", seconds=SECONDS)["chain"]
    return None if found == "regtest" else f"its chain is {found}"


_ASK: dict[str, Callable[[Layout], str | None]] = {
    **{node: _select(node) for node in NODES},
    "redis": lambda layout: _line(layout, "redis", b"PING\r\n", b"+PONG"),
    "smtp": lambda layout: _line(layout, "smtp", b"", b"220"),
    "sqs": lambda layout: _get(layout, "sqs", "/health"),
    "ethereum": _ethereum,
    "bitcoin": _bitcoin,
    "web": lambda layout: _get(layout, "web", "/healthz"),
    "nginx": lambda layout: _get(layout, "nginx", "/healthz"),
}
