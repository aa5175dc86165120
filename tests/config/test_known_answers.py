"""What the target's own known answers do; the small server's are in tests/loadtests/guard."""

from __future__ import annotations

import time

import pytest
from django.test import Client
from pytest_django import Settings

from loadtests.calibrating.programme import PATH


@pytest.fixture(autouse=True)
def _declared(settings: Settings) -> None:
    settings.LOAD_TARGET = "staging"


def test_an_answer_takes_what_it_was_told_to(client: Client) -> None:
    began = time.monotonic()
    answer = client.get(f"{PATH}?latency=constant:80ms&size=11")
    assert (answer.status_code, answer.content) == (200, b"." * 11)
    assert time.monotonic() - began >= 0.08


def test_errors_are_mixed_in_at_their_rate(client: Client) -> None:
    found = [client.get(f"{PATH}?answers=503*25&draw=even&seed=3").status_code for _ in range(40)]
    assert sorted(set(found)) == [200, 503]
    assert abs(found.count(503) - 10) <= 2


def test_while_it_stands_still_nobody_is_answered(client: Client) -> None:
    began = time.monotonic()
    client.get(f"{PATH}?freeze=150ms@0s&name=still")
    assert time.monotonic() - began >= 0.15


def test_a_body_drips(client: Client) -> None:
    began = time.monotonic()
    answer = client.get(f"{PATH}?slow=100ms&size=50")
    assert b"".join(answer.streaming_content) == b"." * 50  # type: ignore[attr-defined]
    assert answer["Content-Length"] == "50"
    assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("programme", ["latency=forever", "answers=reset*1", "nonsense=1", "latency=constant:999s"])
def test_what_is_no_programme_is_said(client: Client, programme: str) -> None:
    assert client.get(f"{PATH}?{programme}").status_code == 400
