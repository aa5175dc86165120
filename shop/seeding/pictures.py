"""The catalogue's pictures: drawn by us, in two sizes, kept by Django's default storage.

A picture's name follows from what it shows, so whoever has it may keep it for ever, and none is drawn twice.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from shop.seeding import drawings

LARGE, SMALL = 960, 320  # pixels, both ways
FOLDER = "shop"
_QUALITY = 78
_DRAWN_AS = 3  # raise it when a drawing changes: names are kept by browsers for ever
_AT_ONCE = 32  # drawn by one process before it reports

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Motif:
    """What a picture shows: one of `silhouettes.FORMS` in a colour, seen in one way ("front", "side", "near"). Pattern
    and background follow from the series."""

    form: str
    colour: str
    view: str
    series: str


def small(motif: Motif) -> str:
    """The name in the storage."""
    return f"{_stem(motif)}-{SMALL}.jpg"


def large(motif: Motif) -> str:
    return f"{_stem(motif)}-{LARGE}.jpg"


def _stem(motif: Motif) -> str:
    said = f"{_DRAWN_AS}:{motif.form}:{motif.colour}:{motif.view}:{motif.series}"
    digest = hashlib.sha256(said.encode()).hexdigest()[:20]
    return f"{FOLDER}/{digest[:2]}/{digest}"


def draw_missing(motifs: Iterable[Motif], *, processes: int = 1, progress: Progress = lambda done: None) -> int:
    """Draw those that the storage lacks, in so many processes. Returns how many were drawn; `progress` is told how many
    were looked at."""
    by_form = sorted(dict.fromkeys(motifs), key=lambda motif: motif.form)  # as `drawings` wants them
    lists = list(_portions(by_form))
    drawn = looked_at = 0
    for portion, new in zip(lists, _drawing(lists, processes), strict=True):
        drawn += new
        looked_at += len(portion)
        progress(looked_at)
    return drawn


def _drawing(portions: list[list[Motif]], processes: int) -> Iterator[int]:
    if processes == 1 or len(portions) < 2:
        yield from map(_draw_portion, portions)
        return
    # A child begins anew and opens its own storage: a forked one would share this process's threads' locks.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_set_up) as pool:
        yield from pool.map(_draw_portion, portions)


def _set_up() -> None:
    import django

    django.setup()


def _portions(motifs: list[Motif]) -> Iterator[list[Motif]]:
    return (motifs[first : first + _AT_ONCE] for first in range(0, len(motifs), _AT_ONCE))


def _draw_portion(motifs: list[Motif]) -> int:
    return sum(_draw(motif) for motif in motifs)


def _draw(motif: Motif) -> bool:
    """The large one is written last: where it is, both are, and the storage keeps nothing that was cut off."""
    if default_storage.exists(large(motif)):
        return False
    picture = drawings.draw(form=motif.form, colour=motif.colour, view=motif.view, series=motif.series, size=LARGE)
    for name, image in ((small(motif), picture.reduce(LARGE // SMALL)), (large(motif), picture)):
        written = BytesIO()
        image.save(written, "JPEG", quality=_QUALITY)
        default_storage.save(name, ContentFile(written.getvalue()))
    return True
