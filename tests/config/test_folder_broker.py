"""Messages of the embedded broker appear whole: a writer and a reader that never pauses, with a negative control."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from kombu import Connection
from kombu.transport import filesystem

from config import folder_broker

MESSAGES = 400


def connected(folder: Path, transport: object) -> Connection:
    options = {
        "data_folder_in": str(folder / "messages"),
        "data_folder_out": str(folder / "messages"),
        "control_folder": str(folder / "control"),
    }
    (folder / "messages").mkdir(parents=True, exist_ok=True)
    return Connection("folder://localhost", transport=transport, transport_options=options)


def read_all(folder: Path, transport: object, write: Callable[[], None]) -> list[int]:
    """What a reader that asks without pause gets while `write` runs in another thread."""
    channel = connected(folder, transport).channel()
    writer = threading.Thread(target=write)
    writer.start()
    got: list[int] = []
    try:
        while writer.is_alive() or len(got) < MESSAGES:
            try:
                got.append(channel._get("line")["n"])
            except folder_broker.filesystem.Empty:
                if not writer.is_alive() and not os.listdir(folder / "messages"):
                    break
    finally:
        writer.join()
    return got


def test_every_message_arrives_once_and_whole(tmp_path: Path) -> None:
    def write() -> None:
        channel = connected(tmp_path, folder_broker.Transport).channel()
        for n in range(MESSAGES):
            channel._put("line", {"n": n})

    assert sorted(read_all(tmp_path, folder_broker.Transport, write)) == list(range(MESSAGES))


def test_as_kombu_has_it_an_unfinished_message_kills_its_reader(tmp_path: Path) -> None:
    """Negative control: the moment between a file's appearing and its content, held."""
    channel = connected(tmp_path, filesystem.Transport).channel()
    (tmp_path / "messages" / "1_1.line.msg").touch()
    with pytest.raises(ValueError, match="Expecting value"):
        channel._get("line")


def test_messages_are_taken_in_the_order_they_were_put(tmp_path: Path) -> None:
    channel = connected(tmp_path, folder_broker.Transport).channel()
    for n in range(3):
        channel._put("line", {"n": n})
        before = folder_broker.time.monotonic_ns()
        while folder_broker.time.monotonic_ns() - before < 2_000_000:  # the names tell milliseconds apart
            pass
    assert [channel._get("line")["n"] for _ in range(3)] == [0, 1, 2]


def test_binding_from_many_threads_leaves_one_readable_table(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def bind(name: str) -> None:
        channel = connected(tmp_path, folder_broker.Transport).channel()
        start.wait(10)
        channel._queue_bind("line", "line", "", name)

    threads = [threading.Thread(target=bind, args=(f"queue{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = connected(tmp_path, folder_broker.Transport).channel().get_table("line")
    assert {queue.queue for queue in table} == {f"queue{n}" for n in range(8)}
