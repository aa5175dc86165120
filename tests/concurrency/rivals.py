"""Two kinds of races, for tests of what two do at the same time: everybody let go at one moment, each on a connection
of their own, and a guard taken away to see what it prevents."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections

from config import audit

# There a transaction takes the one write lock at its beginning: two of them are never in the middle at the same time.
two_writers = pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")


def together(*steps: Callable[[], object]) -> list[BaseException]:
    """Run each step in a thread with a connection of its own, all let go at one moment. Returns what they raised."""
    start = threading.Barrier(len(steps))
    raised: list[BaseException] = []

    def run(step: Callable[[], object]) -> None:
        try:
            start.wait(30)
            step()
        except BaseException as error:  # noqa: BLE001 (handed to the test)
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def meanwhile(step: Callable[[], object]) -> None:
    """Somebody else does this now, from beginning to end, on a connection of their own."""
    assert together(step) == []


def first(rival: Callable[[], object], honest: Callable[..., Any]) -> Callable[..., Any]:
    """`honest`, with the rival going first when it is called for the first time."""
    once = [rival]

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        if once:
            meanwhile(once.pop())
        return honest(*args, **kwargs)

    return overtaken


@contextmanager
def without(model: Any, *names: str) -> Iterator[None]:
    """Take constraints of a table away, and put them back at the end, over empty tables."""
    kept = model._meta.constraints
    guards = [constraint for constraint in kept if constraint.name in names]
    assert len(guards) == len(names)
    # SQLite makes the table anew from the model, so the model must lose the constraints as well.
    model._meta.constraints = [constraint for constraint in kept if constraint not in guards]
    _alter(model, "remove_constraint", guards)
    try:
        yield
    finally:
        call_command("flush", interactive=False, verbosity=0, inhibit_post_migrate=True)
        model._meta.constraints = kept
        _alter(model, "add_constraint", guards)


def _alter(model: Any, change: str, guards: list[Any]) -> None:
    with connection.schema_editor() as editor:
        for guard in guards:
            getattr(editor, change)(model, guard)


def broken(now: datetime) -> set[str]:
    """The names of the invariants that do not hold."""
    return {result.name for result in audit.run(audit.Evidence(now=now)).results if not result.holds}
