"""What was discovered by any process of this machine, and when: a journal that they all write to and read.

Each process looks for changes by itself, up to half a second after another one. Would each count from its own look,
then what the first one made anew would look older than the change to the second, and be made once more. And what the
second makes meanwhile out of its own older copies would look younger than the change to it afterwards. So whoever sees
a change first notes it and the moment, and everybody hears of it from there.
"""

import fcntl
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)
_HOUR = 3_600.0  # a file's time; it and the one before cover what a process that begins is told


def boot() -> str:
    """Names the time since this machine was started, from whose beginning monotonic clocks count."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]


@dataclass(frozen=True, slots=True)
class News:
    """What is new in the journal, each name with its moment, in that order. `until`: whatever was discovered up to then
    by any process of this machine has been heard now. `first`: the names that this process had never heard; one that it
    noted on a full disk comes again when another process has noted it."""

    heard: tuple[tuple[float, str], ...]
    until: float
    first: frozenset[str]


class Discoveries:
    """One reader's place in the journal. Moments are those of a monotonic clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[int, set[str]] = {}  # names by hour
        self._read_to: dict[int, int] = {}  # bytes of that hour's file

    def exchange(self, names: Collection[str]) -> News:
        """Note what nobody has seen before, now; and hear what is new. A disk that is full costs some pages a second
        making, and nothing else."""
        with self._lock:
            heard: list[tuple[float, str]] = []
            try:
                with self._alone():
                    until = self._exchange(names, heard)
            except OSError as error:
                logger.warning("what changed is not told to this machine's other processes: %s", error)
                until = self._clock()
                heard += [(until, name) for name in self._unheard(names, heard)]
            return News(tuple(heard), until, self._remember(heard))

    def forget(self) -> None:
        """Everything, for all processes (another database, as between tests)."""
        with self._lock:
            self._known.clear()
            self._read_to.clear()
            for path in _folder().glob("*-*"):
                path.unlink(missing_ok=True)

    def _exchange(self, names: Collection[str], heard: list[tuple[float, str]]) -> float:
        """Adds to `heard`, so that what was read is not lost when writing fails. Returns the moment."""
        now = self._clock()
        hour = int(now // _HOUR)
        self._leave_behind(hour)
        heard += self._read(hour - 1)
        heard += self._read(hour)
        new = self._unheard(names, heard)
        if new:
            # Begins on a line of its own, whatever a process that was killed has left there.
            with _path(hour).open("a") as file:
                file.write("\n" + "".join(f"{now!r} {name}\n" for name in new))
            heard += self._read(hour)
        return now

    def _unheard(self, names: Collection[str], heard: Collection[tuple[float, str]]) -> list[str]:
        just = {name for _, name in heard}
        return [name for name in names if name not in just and not self._knows(name)]

    def _knows(self, name: str) -> bool:
        return any(name in names for names in self._known.values())

    def _remember(self, heard: Collection[tuple[float, str]]) -> frozenset[str]:
        """Returns the names that were not known."""
        first = frozenset(name for _, name in heard if not self._knows(name))
        for moment, name in heard:
            self._known.setdefault(int(moment // _HOUR), set()).add(name)
        return first

    def _read(self, hour: int) -> list[tuple[float, str]]:
        """What has been noted since this was read last."""
        path = _path(hour)
        size = path.stat().st_size if path.exists() else 0
        at = self._read_to.get(hour, 0)
        if size == at:
            return []
        if size < at:  # somebody has emptied the folder, and another process may have begun anew
            at = self._read_to[hour] = 0
        if not size:
            return []
        with path.open() as file:
            file.seek(at)
            lines = file.read().splitlines()
            self._read_to[hour] = file.tell()
        return [parsed for line in lines if (parsed := _parsed(line))]

    def _leave_behind(self, hour: int) -> None:
        for old in [one for one in {*self._known, *self._read_to} if one < hour - 1]:
            self._known.pop(old, None)
            self._read_to.pop(old, None)
            _path(old).unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _parsed(line: str) -> tuple[float, str] | None:
    moment, _, name = line.partition(" ")
    try:
        return (float(moment), name) if name else None
    except ValueError:
        return None


def _path(hour: int) -> Path:
    return _folder() / f"{boot()}-{hour}"


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "changes"
