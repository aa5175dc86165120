"""A watcher's own connection: it is there to see what a server does, not to wait for it as a request would."""

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

_QUICK = {"connect_timeout": 1, "read_timeout": 2, "write_timeout": 2}  # seconds


def own_connection(alias: str) -> BaseDatabaseWrapper:
    """For the calling thread. On MariaDB with time-outs shorter than a request's."""
    connection = connections[alias].copy()
    if connection.vendor == "mysql":
        connection.settings_dict["OPTIONS"].update(_QUICK)
    return connection


def close(connection: BaseDatabaseWrapper) -> None:
    """Whatever state it is in: the next look makes another."""
    try:
        connection.close()
    except Exception:  # noqa: BLE001 (it broke before)
        connection.connection = None
