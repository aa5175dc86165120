"""One question to a development node, by JSON-RPC: what the programs around it need and nothing more."""

import json
from base64 import b64encode
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit


class Refused(Exception):
    """The node answered with an error, or not with JSON-RPC; the message is what it said."""


def ask(url: str, method: str, *parameters: Any, seconds: float = 5.0) -> Any:
    """The result. `url` may hold user, password and a wallet's path. Raises `OSError` when nobody answers, `Refused`
    when the answer is no result."""
    parts = urlsplit(url)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    try:
        connection.request("POST", parts.path or "/", body, {"Content-Type": "application/json", **_login(url)})
        answer = connection.getresponse()
        return _result(answer.status, answer.read())
    except HTTPException as error:
        raise Refused(f"no HTTP: {error!r}") from None
    finally:
        connection.close()


def _login(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _result(status: int, body: bytes) -> Any:
    try:
        said = json.loads(body)
    except ValueError:
        raise Refused(f"answered {status} without JSON") from None
    if said.get("error"):
        raise Refused(str(said["error"].get("message", said["error"]))[:200])
    return said["result"]
