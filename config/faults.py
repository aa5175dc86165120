"""What a database's error means, in words for the operator: the driver gives a number and the server's own sentence."""

from django.db import Error

GONE = frozenset({1053, 1927, 2002, 2003, 2006, 2013, 2026, 2055})
_FULL = "its disk is full; until there is room again it takes no writes"
READ_ONLY = "it is read-only: a replica, or a primary that was switched over"
_UNREACHABLE = "it cannot be reached"
_DROPPED = "it broke the connection off, or did not answer in time (a full disk makes a commit wait: see its own log)"
_STATEMENT = "a statement took longer than is allowed"
_MEANS = {
    3: "it cannot write a file",
    1021: _FULL,
    1026: "it cannot write a file",
    1040: "it has too many connections; raise max_connections, or lower the web tier's processes and threads",
    1044: "it refuses this user",
    1045: "it refuses this user or the password",
    1049: "it has no database of this name",
    1053: "it is shutting down",
    1114: _FULL,
    1146: "a table is missing; was `manage.py migrate` run?",
    1203: "this user has too many connections; raise max_user_connections",
    1205: "a row stayed locked for too long",
    1213: "two transactions waited for each other, and this one gave way",
    1290: READ_ONLY,
    1792: READ_ONLY,
    1836: READ_ONLY,
    1927: "the connection was killed",
    1969: _STATEMENT,
    2002: _UNREACHABLE,
    2003: _UNREACHABLE,
    2006: _DROPPED,
    2013: _DROPPED,
    2026: "no encrypted connection could be made",
    2055: _DROPPED,
    3024: _STATEMENT,
}
_SAYS = {"Errcode: 28": _FULL, "disk is full": _FULL, "database is locked": "another writer held it for too long"}


def words(error: BaseException) -> str:
    """What went wrong, with the server's number and sentence behind it. Takes an error of any database."""
    said = " ".join(str(part) for part in error.args) or type(error).__name__
    by_text = next((means for sign, means in _SAYS.items() if sign in said), "")
    means = by_text or _MEANS.get(number(error), "")
    return f"{means} ({said})" if means else said


def number(error: BaseException) -> int:
    """The server's or the driver's number of the error; 0 when it has none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def is_gone(error: BaseException) -> bool:
    """Whether the connection is lost, so that the same question may be put to another server."""
    return isinstance(error, Error) and number(error) in GONE
