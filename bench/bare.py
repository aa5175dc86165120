"""The least that gunicorn can serve: no framework, an answer as long as a position."""

from collections.abc import Callable, Iterable
from typing import Any

ANSWER = b"{" + b" " * 220 + b"}"
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(ANSWER)))]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return [ANSWER]
