"""Visits on disk: one JSON line a visit, found again by its number. Memory holds some twenty bytes a visit, not the
visit."""

import json
import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Self

from loadtests.replay.gathering import Page, Visit

CHOSEN = "visits.chosen"
Mix = tuple[tuple[str, int], ...]  # kind -> pages of it, of one visit; sorted by name


def as_line(visit: Visit) -> bytes:
    pages = [[page.offset, page.path, page.kind] for page in visit.pages]
    return json.dumps({"began": visit.began, "new": visit.new, "pages": pages}, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> Visit:
    said = json.loads(line)
    return Visit(said["began"], said["new"], tuple(Page(*page) for page in said["pages"]))


class Store:
    """Gone when it is closed. Written once, by `fill`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)
        self._places = array("Q")
        self.began = array("d")
        self.new = array("B")
        self._mix_of = array("L")
        self._mixes: dict[Mix, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._places)

    def fill(self, visits: Iterable[Visit]) -> None:
        place = 0
        for visit in visits:
            line = as_line(visit)
            self._file.write(line)
            self._places.append(place)
            self.began.append(visit.began)
            self.new.append(visit.new)
            self._mix_of.append(self._mix_number(visit))
            place += len(line)
        self._file.flush()

    def line(self, number: int) -> bytes:
        self._file.seek(self._places[number])
        return self._file.readline()

    def mix_of(self, number: int) -> int:
        """Which of `mixes` this visit has."""
        return self._mix_of[number]

    @property
    def mixes(self) -> list[Mix]:
        return list(self._mixes)

    def pages(self) -> Counter[str]:
        """Of all visits, by kind."""
        counted, often = Counter[str](), Counter(self._mix_of)
        for mix, number in self._mixes.items():
            for kind, pages in mix:
                counted[kind] += pages * often[number]
        return counted

    def _mix_number(self, visit: Visit) -> int:
        counted: Mix = tuple(sorted(Counter(page.kind for page in visit.pages).items()))
        return self._mixes.setdefault(counted, len(self._mixes))


class Chosen:
    """The visits that one run makes, as a file that its generator processes read: `write` puts the number of lines and
    each line's place in front of them, so that a process finds the visit of an arrival without reading the others."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`, and `ValueError` for a file that is something else."""
        self._file = os.open(path, os.O_RDONLY)
        head = os.pread(self._file, 16, 0)
        if head[:8] != _MAGIC or len(head) != 16:
            os.close(self._file)
            raise ValueError(f"{path} holds no chosen visits")
        self._count = int.from_bytes(head[8:], "little")

    def __len__(self) -> int:
        return self._count

    def visit(self, index: int) -> Visit:
        """Of arrival `index`. Raises `IndexError`."""
        line = self.line(index)
        if not line:
            raise IndexError(f"no visit was chosen for arrival {index}")
        return from_line(line)

    def line(self, index: int) -> bytes:
        """Empty for an arrival without a visit."""
        if not 0 <= index < self._count:
            return b""
        ends = os.pread(self._file, 16, 16 + 8 * index)
        start, end = int.from_bytes(ends[:8], "little"), int.from_bytes(ends[8:], "little")
        return os.pread(self._file, end - start, start)

    def __iter__(self) -> Iterator[Visit]:
        return (from_line(line) for line in map(self.line, range(self._count)) if line)

    def close(self) -> None:
        os.close(self._file)


@lru_cache(maxsize=4)
def opened(run_dir: Path) -> Chosen:
    """The visits of this run, open for as long as the process lives."""
    return Chosen(run_dir / CHOSEN)


_MAGIC = b"VISITS1\n"


def write_chosen(path: Path, store: Store, numbers: Mapping[int, int]) -> None:
    """`numbers`: arrival -> visit. Arrivals in between are of another scenario and have none."""
    count = max(numbers) + 1
    place = 16 + 8 * (count + 1)
    places = array("Q", [place])
    for index in range(count):
        place += len(store.line(numbers[index])) if index in numbers else 0
        places.append(place)
    with path.open("wb") as file:
        file.write(_MAGIC + count.to_bytes(8, "little") + places.tobytes())
        file.writelines(store.line(numbers[index]) for index in sorted(numbers))
