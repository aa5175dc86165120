"""200 signups at the same instant by 200 connections, 50 emails doubled: 150 places, numbers 1 to 150."""

from __future__ import annotations

import json
import socket
import threading
from http.client import HTTPResponse
from urllib.request import urlopen

import pytest

from tests.deadline import until
from tests.process.conftest import Served

pytestmark = pytest.mark.process

EMAILS = [f"herd-{n}@load.test" for n in range(150)] + [f" HERD-{n}@Load.Test" for n in range(50)]


def sign_up(port: int, email: str, together: threading.Barrier, answers: list[dict[str, object]]) -> None:
    body = json.dumps({"email": email}).encode()
    head = (
        f"POST /signup/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        together.wait(60)
        connection.sendall(head.encode() + body)
        response = HTTPResponse(connection)
        response.begin()
        answers.append({"email": email, "status": response.status, **json.loads(response.read())})


def get(url: str) -> dict[str, object]:
    with urlopen(url, timeout=30) as response:
        return json.load(response)  # type: ignore[no-any-return]


def test_a_herd_gets_one_place_per_email_and_dense_numbers(served: Served) -> None:
    together = threading.Barrier(len(EMAILS))
    answers: list[dict[str, object]] = []
    crowd = [threading.Thread(target=sign_up, args=(served.port, email, together, answers)) for email in EMAILS]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(120)
    assert [answer["status"] for answer in answers] == [202] * 200

    until(lambda: get(f"{served.url}/api/board")["last_number"] == 150, "150 numbers")
    numbers: dict[str, set[object]] = {}
    for answer in answers:
        position = get(f"{served.url}{answer['position_url']}")
        numbers.setdefault(str(answer["email"]).strip().lower(), set()).add(position["number"])
    assert all(len(of_one) == 1 for of_one in numbers.values())
    assert sorted(n for of_one in numbers.values() for n in of_one) == list(range(1, 151))  # type: ignore[type-var]
    audit = served.manage("audit")
    assert audit.returncode == 0, audit.stdout
