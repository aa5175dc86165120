"""The search index as files: one folder a machine, read by all its processes, written by one of them at a time.

`search` in the data folder holds folders, one for each time the index was built, and a link to the one that counts; its
name carries the version of the fields, so that two releases on one machine do not disturb each other. What a search
shows is stored in the index, so that it asks no database.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

import tantivy
from django.conf import settings
from tantivy import Document, Filter, Index, IndexWriter, Query, Searcher, Tokenizer

from shop.catalogue import Card
from shop.searching.index_faults import NotReady, doubt, guarded, is_panic, is_whole

__all__ = ["NotReady"]

VERSION = 1  # of the fields and of how text becomes words; another one is built anew
WRITER_BYTES = 64_000_000
MOST_CATEGORIES = 100
_BETWEEN = "\x1f"  # slug and name of a category, which facets give back as one value

# Where a word may stand, and what it is worth there.
WORTH = {"title": 5.0, "brand": 3.0, "category": 3.0, "attributes": 2.0, "description": 1.0}


@dataclass(frozen=True, slots=True)
class Entry:
    """A product as it is indexed. `texts`: by the fields of `WORTH`; `weight`: what its relevance is multiplied by."""

    card: Card
    category_name: str
    texts: dict[str, str]
    weight: float

    def mark(self) -> bytes:
        """The same for an equal entry, and differs for another."""
        told = [astuple(self.card), self.category_name, self.texts, self.weight]
        return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).digest()


def _analyzer(*filters: Filter) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(Tokenizer.simple())
    for one in (Filter.remove_long(40), Filter.lowercase(), Filter.ascii_fold(), *filters):
        builder = builder.filter(one)
    return builder.build()


PLAIN = _analyzer()  # words as they are typed: for corrections and suggestions
STEMS = _analyzer(Filter.stopword("english"), Filter.stemmer("english"))  # as they are looked for


def _schema() -> tantivy.Schema:
    fields = tantivy.SchemaBuilder()
    fields.add_unsigned_field("id", stored=True, indexed=True, fast=True)
    for name in WORTH:
        fields.add_text_field(name, tokenizer_name="stems", index_option="freq")
    fields.add_text_field("words", stored=True, tokenizer_name="plain", index_option="basic")
    fields.add_text_field("shelf", tokenizer_name="raw", index_option="basic")  # the category's slug
    fields.add_text_field("facet", tokenizer_name="raw", index_option="basic", fast=True)
    fields.add_unsigned_field("price", indexed=True, fast=True)
    fields.add_float_field("weight", fast=True)
    fields.add_bytes_field("card", stored=True)
    fields.add_bytes_field("mark", stored=True)
    return fields.build()


SCHEMA = _schema()


def _document(entry: Entry) -> Document:
    card, document = entry.card, Document()
    document.add_unsigned("id", card.id)
    for name in WORTH:
        document.add_text(name, entry.texts[name])
    document.add_text("words", " ".join(entry.texts[name] for name in WORTH if name != "description"))
    document.add_text("shelf", card.category)
    document.add_text("facet", f"{card.category}{_BETWEEN}{entry.category_name}")
    document.add_unsigned("price", card.price_cents)
    document.add_float("weight", entry.weight)
    document.add_bytes("card", json.dumps(astuple(card), ensure_ascii=False).encode())
    document.add_bytes("mark", entry.mark())
    return document


def card_of(document: Document) -> Card:
    return Card(*json.loads(bytes(document["card"][0])))


def facet_of(value: str) -> tuple[str, str]:
    """Slug and name of a category."""
    slug, _, name = value.partition(_BETWEEN)
    return slug, name


# --- reading ----------------------------------------------------------------------------------------------------------
class Reader:
    """This process' view of the index: always of the last commit, whichever process made it. Looking whether there is a
    newer one is one `stat`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        """What was opened. The engine's locks stay locked when it panics."""
        self._index: tuple[str, Index] | None = None  # and its folder
        self._newest: tuple[object, Searcher] | None = None  # and the commit that it shows

    def searcher(self) -> Searcher:
        """Raises `NotReady`."""
        try:
            meta = os.stat(f"{_link()}/meta.json")  # through the link: another folder is another file
        except OSError:
            raise NotReady("This machine has no search index yet.") from None
        commit, newest = (_home(), meta.st_ino, meta.st_mtime_ns), self._newest
        if newest is not None and newest[0] == commit:
            return newest[1]
        with guarded(), self._lock:
            searcher = self._open()
            self._newest = commit, searcher
            return searcher

    def _open(self) -> Searcher:
        """Fails when it is damaged, or of other fields."""
        folder, known = os.path.realpath(_link()), self._index
        self._index = None
        index = known[1] if known and known[0] == folder else _opened(Path(folder))
        index.reload()
        self._index = folder, index
        return index.searcher()


def _opened(folder: Path) -> Index:
    index = Index(SCHEMA, str(folder))
    index.register_tokenizer("plain", PLAIN)
    index.register_tokenizer("stems", STEMS)
    return index


def _home() -> Path:
    return settings.DATA_DIR / "search"


def _link() -> Path:
    return _home() / f"v{VERSION}"


reader = Reader()
doubt.listen(reader.forget)


def is_sound() -> bool:
    """Whether it can be read; and when there was a doubt, whether its files are whole. Within `alone`: nobody writes
    meanwhile."""
    doubted = doubt.take()
    try:
        reader.searcher()
    except NotReady:
        return False
    return not doubted or is_whole(Path(os.path.realpath(_link())))


# --- writing ----------------------------------------------------------------------------------------------------------
@contextmanager
def alone() -> Iterator[None]:
    """No other process or thread of this machine writes the index meanwhile; who dies lets go."""
    _home().mkdir(parents=True, exist_ok=True)
    with open(_home() / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _writer(folder: Path) -> Iterator[IndexWriter]:
    """Commits at the end, unless something fails; then nothing was written."""
    writer = _opened(folder).writer(WRITER_BYTES, num_threads=1)
    try:
        yield writer
        writer.commit()
    except BaseException as error:
        if not is_panic(error):  # it may be able to nothing more; letting go of it is enough
            writer.rollback()
        raise
    finally:
        writer.wait_merging_threads()


@contextmanager
def building(*, as_of: datetime) -> Iterator[IndexWriter]:
    """A new index beside the one that is read, which it replaces at the end. Within `alone`; raises `NotReady`."""
    folder = Path(tempfile.mkdtemp(prefix=f"v{VERSION}-", dir=_home()))
    try:
        with _writer(folder) as writer:
            yield writer
        (folder / "as_of").write_text(as_of.isoformat())
        before = os.path.realpath(_link())
        _point_to(folder)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if is_panic(error):
            raise NotReady(f"The search index cannot be built: {error}") from error
        raise
    _remove_others({str(folder.resolve()), before})


def _point_to(folder: Path) -> None:
    link = folder / "link"
    link.symlink_to(folder.name)
    os.replace(link, _link())


def _remove_others(kept: set[str]) -> None:
    """The one before stays until the next time: a process may be about to open it."""
    for folder in _home().glob(f"v{VERSION}-*"):
        if str(folder.resolve()) not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def add(writer: IndexWriter, entry: Entry) -> None:
    writer.add_document(_document(entry))


@guarded()
def take_in(entries: dict[int, Entry], gone: set[int]) -> int:
    """Make the index show these products so, and those that are gone not at all: how many it showed otherwise. Nothing
    is written for none. Within `alone`; raises `NotReady`."""
    shown = marks({*entries, *gone})
    wrong = [pk for pk, entry in entries.items() if shown.get(pk) != entry.mark()]
    old = [pk for pk in gone if pk in shown]
    if wrong or old:
        with _writer(Path(os.path.realpath(_link()))) as writer:
            # By a query: by a term, an unsigned number is taken for a signed one and nothing is deleted.
            writer.delete_documents_by_query(Query.term_set_query(SCHEMA, "id", [*wrong, *old]))
            for pk in wrong:
                add(writer, entries[pk])
    return len(wrong) + len(old)


@guarded()
def marks(ids: set[int]) -> dict[int, bytes]:
    """The entries' marks, of those that are there."""
    if not ids:
        return {}
    searcher = reader.searcher()
    found = searcher.search(Query.term_set_query(SCHEMA, "id", sorted(ids)), limit=len(ids)).hits
    documents = (searcher.doc(address) for _, address in found)
    return {document["id"][0]: bytes(document["mark"][0]) for document in documents}


@guarded()
def ids() -> set[int]:
    """All that are there. Raises `NotReady`."""
    searcher = reader.searcher()
    found = searcher.search(Query.all_query(), max(1, searcher.num_docs), count=False).hits
    return {int(pk) for pk in searcher.fast_field_values("id", [address for _, address in found]) if pk is not None}


@guarded()
def size() -> int:
    """The number of products. Raises `NotReady`."""
    return reader.searcher().num_docs


@guarded()
def categories() -> set[tuple[str, str]]:
    """Slug and name of each that has a product there. Raises `NotReady`."""
    by_facet = {"all": {"terms": {"field": "facet", "size": MOST_CATEGORIES}}}
    found = reader.searcher().aggregate(Query.all_query(), by_facet)
    return {facet_of(bucket["key"]) for bucket in found["all"]["buckets"]}


def as_of() -> datetime | None:
    """All that was told until a while before this moment is in the index. None: it was never built."""
    try:
        return datetime.fromisoformat((_link() / "as_of").read_text())
    except (OSError, ValueError):
        return None


def set_as_of(moment: datetime) -> None:
    folder = Path(os.path.realpath(_link()))
    new = folder / "as_of.new"
    new.write_text(moment.isoformat())
    os.replace(new, folder / "as_of")
