from __future__ import annotations

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError

from config.faults import is_gone, words


@pytest.mark.parametrize(
    ("error", "means"),
    [
        (OperationalError(1040, "Too many connections"), "too many connections; raise max_connections"),
        (OperationalError(1021, "Disk full (/tmp); waiting for someone to free some space"), "disk is full"),
        (OperationalError(1114, "The table 'ico_entrant' is full"), "disk is full"),
        (OperationalError(3, 'Error writing file (Errcode: 28 "No space left on device")'), "disk is full"),
        (OperationalError(1205, "Lock wait timeout exceeded"), "stayed locked"),
        (OperationalError(1213, "Deadlock found"), "waited for each other"),
        (OperationalError(1290, "The MariaDB server is running with the --read-only option"), "read-only"),
        (OperationalError(1836, "Running in read-only mode"), "read-only"),
        (OperationalError(2002, "Can't connect to server on '127.0.0.1' (115)"), "cannot be reached"),
        (OperationalError(2003, "Can't connect"), "cannot be reached"),
        (OperationalError(2006, "Server has gone away"), "did not answer in time"),
        (OperationalError(2013, "Lost connection to server during query"), "did not answer in time"),
        (OperationalError(3024, "Query execution was interrupted"), "longer than is allowed"),
        (OperationalError(1969, "Query execution was interrupted (max_statement_time exceeded)"), "longer than"),
        (OperationalError("database is locked"), "another writer held it"),
        (OperationalError("database or disk is full"), "disk is full"),
    ],
)
def test_an_error_is_told_in_words_with_what_the_server_said(error: Exception, means: str) -> None:
    assert means in words(error)
    assert all(str(part) in words(error) for part in error.args)


def test_what_is_not_known_is_told_as_it_was_said() -> None:
    assert words(OperationalError(4711, "something new")) == "4711 something new"
    assert words(ValueError()) == "ValueError"


def test_only_a_lost_connection_is_worth_asking_another_server() -> None:
    assert is_gone(OperationalError(2013, "Lost connection"))
    assert is_gone(InterfaceError(2006, "gone"))
    assert not is_gone(OperationalError(1205, "Lock wait timeout exceeded"))
    assert not is_gone(DatabaseError("database is locked"))
    assert not is_gone(ConnectionError(2013))
