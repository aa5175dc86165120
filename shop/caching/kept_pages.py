"""The rendered pages that this machine keeps: files that its processes share, the hot ones also in each one's memory.

A file bears the digest of its page's name (path and known parameters) and is replaced as a whole. The folder bears the
machine's boot, for moments are counted from there, and what else a page depends on besides the database's rows: the
code, the addresses that it names, the database itself. So what an earlier release has made is not found at all.
"""

import gzip
import json
import logging
import math
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any

from django.conf import settings

from shop.caching.discoveries import boot

logger = logging.getLogger(__name__)

MEMORY_BYTES = 32 * 1024 * 1024  # of one process: about a thousand pages, packed and not
FILES = 20_000  # of one machine; a shop of 1,250 products has about 1,700 pages without searches
FILE_BYTES = 512 * 1024 * 1024  # of one machine; a page takes between 10 and 50 kB, packed and not
SWEPT_EVERY = 500  # files written by one process; so many of each process may be there beyond the bounds
_MADE_FROM = (".py", ".html", ".toml", ".json")
_OLD_DRAFT_SECONDS = 60.0
_OLD_FOLDER_SECONDS = 86_400.0  # of another release, that may still be running beside this one


@dataclass(slots=True)
class Kept:
    """One page. `began`: it shows what was discovered until then. `made`: when its making began; a process that has
    not heard for a while makes pages that are young and show only what it has heard (both `time.monotonic`). `as_of`:
    the same as `made`, in seconds since 1970."""

    name: str
    kind: str
    tags: frozenset[str]
    began: float
    made: float
    as_of: float
    content_type: str
    etag: str
    body: bytes
    packed: bytes  # gzip
    mine: bool = field(default=True, compare=False)  # made by this process
    checked: int = field(default=-1, compare=False)  # the news at which it was found to be true
    untrue_since: float = field(default=math.inf, compare=False)  # by what it heard until then
    used: bool = field(default=False, compare=False)

    @property
    def size(self) -> int:
        return len(self.body) + len(self.packed)


def page(
    *, name: str, kind: str, tags: frozenset[str], began: float, made: float, as_of: float, content_type: str, body: str
) -> Kept:
    """A page that was just rendered, with its ETag and packed form."""
    raw = body.encode()
    etag = f'W/"{blake2b(raw, digest_size=12).hexdigest()}"'  # weak: packed and not packed are the same page
    packed = gzip.compress(raw, compresslevel=6, mtime=0)
    return Kept(name, kind, tags, began, made, as_of, content_type, etag, raw, packed)


class Pages:
    """Reads and writes of files are safe beside other processes; memory is this process's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory: dict[str, Kept] = {}
        self._bytes = 0
        self._written = 0

    @cached_property
    def folder(self) -> Path:
        """Asked for when a process begins: it goes on with the code of then, whatever is laid over it later. Who writes
        there makes it: anybody may remove it at any time."""
        return Path(settings.DATA_DIR) / "pages" / f"{boot()}-{_release()}"

    def get(self, name: str) -> Kept | None:
        """From memory, else from its file."""
        kept = self._memory.get(name)
        if kept is None:
            return self.look_again(name)
        kept.used = True
        return kept

    def look_again(self, name: str) -> Kept | None:
        """The newest that any process of this machine has made."""
        known = self._memory.get(name)
        found = _read(self._path(name))
        if found is None or found.name != name:
            return known
        if known is not None and (found.began, found.made) <= (known.began, known.made):
            return known
        self._remember(found)
        return found

    def put(self, kept: Kept) -> bool:
        """Whether it is time to `sweep`: at the first of a process, and every so many."""
        self._remember(kept)
        _write(self._path(kept.name), kept)
        self._written += 1
        return self._written % SWEPT_EVERY == 1

    def drop(self, name: str) -> None:
        """It is no page any more."""
        with self._lock:
            self._forget(name)
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the file of a page that is gone stays: %s", error)

    def forget(self) -> None:
        """Everything, for all processes of this machine (another database, as between tests)."""
        with self._lock:
            self._memory.clear()
            self._bytes = 0
        for path in self.folder.glob("*.page"):
            path.unlink(missing_ok=True)

    def all(self) -> Iterator[Kept]:
        """What lies in files, of earlier releases too: any of it may have been shown."""
        for path in self.folder.parent.glob("*/*.page"):
            found = _read(path)
            if found is not None:
                yield found

    def sweep(self) -> None:
        """Remove the oldest files beyond the bounds, and folders of releases that are gone. Takes up to a second for a
        full folder."""
        kept = total = 0
        for _, size, path in sorted(_stats(self.folder.glob("*.page")), reverse=True):
            kept, total = kept + 1, total + size
            if kept > FILES or total > FILE_BYTES:
                path.unlink(missing_ok=True)
        for written_at, _, path in _stats(self.folder.glob("*.draft")):  # of a process that was killed while it wrote
            if written_at < time.time() - _OLD_DRAFT_SECONDS:
                path.unlink(missing_ok=True)
        for written_at, _, folder in _stats(self.folder.parent.glob("*")):
            # One that is still in use after all costs its release a making of each page.
            newest = max((at for at, _, _ in _stats(folder.glob("*.page"))), default=written_at)
            if folder != self.folder and newest < time.time() - _OLD_FOLDER_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)

    def lock_path(self, name: str) -> Path:
        """One of a few files, so that none needs to be removed: two pages under one lock only wait for each other."""
        return self.folder / "locks" / _digest(name)[:2]

    def _path(self, name: str) -> Path:
        return self.folder / f"{_digest(name)}.page"

    def _remember(self, kept: Kept) -> None:
        with self._lock:
            self._forget(kept.name)
            self._memory[kept.name] = kept
            self._bytes += kept.size
            while self._bytes > MEMORY_BYTES and len(self._memory) > 1:
                self._make_room()

    def _make_room(self) -> None:
        """The oldest goes, unless it was asked for since it was looked at last: then it is the newest again."""
        name = next(iter(self._memory))
        kept = self._memory[name]
        if kept.used:
            kept.used = False
            self._memory[name] = self._memory.pop(name)
        else:
            self._forget(name)

    def _forget(self, name: str) -> None:
        kept = self._memory.pop(name, None)
        if kept is not None:
            self._bytes -= kept.size


def _read(path: Path) -> Kept | None:
    """None when there is no such file, or one that this code cannot read: the page is made anew."""
    try:
        head, _, rest = path.read_bytes().partition(b"\n")
        said: dict[str, Any] = json.loads(head)
        split = said.pop("split")
        body, packed = rest[:split], rest[split:]
        if len(rest) != said.pop("length"):
            raise ValueError("it is cut off")
        return Kept(**{**said, "tags": frozenset(said["tags"]), "body": body, "packed": packed, "mine": False})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("a kept page cannot be read (%s) and is made anew", type(error).__name__)
        return None


def _write(path: Path, kept: Kept) -> None:
    """A disk that is full costs the other processes the page, and this one nothing."""
    head = {
        "name": kept.name,
        "kind": kept.kind,
        "tags": sorted(kept.tags),
        "began": kept.began,
        "made": kept.made,
        "as_of": kept.as_of,
        "content_type": kept.content_type,
        "etag": kept.etag,
        "split": len(kept.body),
        "length": kept.size,
    }
    draft = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".draft")
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(head).encode() + b"\n" + kept.body + kept.packed)
        os.replace(draft, path)
    except OSError as error:
        logger.warning("a page could not be kept in its file: %s", error)
        if draft:
            Path(draft).unlink(missing_ok=True)


def _digest(name: str) -> str:
    return blake2b(name.encode(), digest_size=16).hexdigest()


def _stats(paths: Iterable[Path]) -> Iterator[tuple[float, int, Path]]:
    """When each of those that are still there was written, in seconds since 1970, and its bytes."""
    for path in paths:
        with suppress(FileNotFoundError):
            found = path.stat()
            yield found.st_mtime, found.st_size, path


def _release() -> str:
    """A digest of what pages are made from besides rows: the files of the shop and of the site's frame, the names of
    static files, and the settings that stand in a page or say where the rows are."""
    found = blake2b(digest_size=6)
    shop, frame = settings.BASE_DIR / "shop", settings.BASE_DIR / "config" / "templates"
    for root, names in ((shop, "*"), (frame, "*"), (Path(settings.STATIC_ROOT), "staticfiles.json")):
        for path in sorted(one for one in root.rglob(names) if one.suffix in _MADE_FROM):
            found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    database = {name: str(settings.DATABASES["default"].get(name, "")) for name in ("HOST", "PORT", "NAME")}
    found.update(repr((settings.PUBLIC_URL, settings.MEDIA_URL, settings.SHOP_CURRENCY, database)).encode())
    return found.hexdigest()


pages = Pages()
