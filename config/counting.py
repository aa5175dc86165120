"""Under which name a process counts, when several count in one folder (PROMETHEUS_MULTIPROC_DIR).

prometheus_client names a process's files by its id. In containers that share the folder every program has the same id,
1, and of two that write one file each undoes what the other counted. A container has a host name of its own.
"""

import os
import socket

from prometheus_client import values

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_HOST = socket.gethostname()


def name(pid: int | None = None) -> str:
    """Of this process, or of another one of this host."""
    return f"{_HOST}-{os.getpid() if pid is None else pid}"


def begin() -> None:
    """Before the first counter is made: each keeps the class that it was made with."""
    if FOLDER in os.environ:
        values.ValueClass = values.MultiProcessValue(process_identifier=name)  # type: ignore[no-untyped-call]
