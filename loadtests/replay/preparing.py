"""From logs to the visits of one run: read, gather, choose, write, and tell all of it (`replay.json`)."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.replay import filling, gathering, mix, reading, rules
from loadtests.replay.choosing import choose
from loadtests.replay.store import CHOSEN, Chosen, Store, write_chosen

TOLD = "replay.json"
MOST_PIECES = 200  # of the curve of arrivals
LEAST_SECONDS = 60.0  # of a piece of it, where the log is long enough


class NothingToReplay(Exception):
    """The log was read, and no visit in it can be made again; the message says what became of its lines."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`weights`: kind -> how many times as frequent beside the others."""

    logs: tuple[Path, ...]
    weights: Mapping[str, float]
    kinds: Path = rules.OUR_KINDS
    urls: Path | None = None


def prepare(*, wanted: Wanted, arrivals: Sequence[int] | None, seed: int, run_dir: Path) -> dict[str, Any]:
    """`arrivals`: the numbers of those that replay, in the order of their moments; None for as many as the log has
    visits. Leaves the chosen visits and
    what is to be told of them in the run directory; returns the latter. Raises `reading.NoLog`, `rules.KindMistake`,
    `filling.NoSample`, `mix.MixMistake` and `NothingToReplay`."""
    sort, read, gathered = rules.read(wanted.kinds), reading.Reading(), gathering.Gathered()
    sample = filling.read(wanted.urls, seed=seed)
    with Store(run_dir) as store:
        hits = reading.hits(wanted.logs, read)
        store.fill(sample.fill(gathering.visits(hits, sort, gathered)))
        if not len(store):
            raise NothingToReplay(f"{_names(wanted.logs)}: no visit to replay in {read.lines} lines{_left(gathered)}")
        arrivals = range(len(store)) if arrivals is None else arrivals
        order, aim = choose(store=store, arrivals=len(arrivals), factors=wanted.weights, seed=seed)
        write_chosen(run_dir / CHOSEN, store, dict(zip(arrivals, order, strict=True)))
        told = {
            "logs": [str(path) for path in wanted.logs],
            "weights": dict(wanted.weights),
            "read": read.as_json(),
            "log": _gathered(gathered, store),
            "chosen": _chosen(run_dir / CHOSEN, aim),
        }
    (run_dir / TOLD).write_text(json.dumps(told, indent=1) + "\n")
    return told


def weights(written: Sequence[str]) -> dict[str, float]:
    """`deals=3` -> {"deals": 3.0}. Raises `mix.MixMistake`."""
    try:
        pairs = [part.split("=") for text in written for part in text.split(",")]
        found = {kind.strip(): float(factor) for kind, factor in pairs}
    except ValueError:
        raise mix.MixMistake(f"a weight is written kind=factor, as in deals=3; not {', '.join(written)}") from None
    if len(found) < len(pairs):
        raise mix.MixMistake(f"a kind has one weight: {', '.join(written)}")
    return found


def achieved(*, run_dir: Path, answered: Mapping[str, int]) -> dict[str, Any] | None:
    """Planned against achieved: `answered` says how many requests each step had, right or wrong. None for a run that
    replayed nothing."""
    if not (run_dir / TOLD).exists():
        return None
    told = json.loads((run_dir / TOLD).read_text())
    chosen = told["chosen"]
    counted = {kind: answered.get(f"replay.{kind}", 0) for kind in chosen["pages"]}
    fit = mix.fit(counted, chosen["pages"], pages_of_a_visit=chosen["pages_of_a_visit"])
    return {"planned": chosen["pages"], "achieved": counted, **_fit(fit), "of": _source(told)}


def _source(told: Mapping[str, Any]) -> dict[str, Any]:
    """Where the visits come from, in a few figures; `log`: pages by kind, before any weight."""
    read, log, chosen = told["read"], told["log"], told["chosen"]
    return {
        "lines": read["lines"],
        "unread": sum(read["unread"].values()),
        "hours": log["hours"],
        "visits": log["visits"],
        "new": log["new"],
        "log": log["pages"],
        "chosen": chosen["visits"],
        "chosen_new": chosen["new"],
        "weights": told["weights"],
    }


def _gathered(gathered: gathering.Gathered, store: Store) -> dict[str, Any]:
    return {
        "visits": gathered.visits,
        "pages": dict(store.pages()),
        "new": sum(store.new) / len(store),
        "hours": (max(store.began) - min(store.began)) / 3600,
        "curve": curve(store.began),
        "lines_left_out": dict(gathered.lines_left_out),
        "visits_left_out": dict(gathered.visits_left_out),
    }


def curve(began: Sequence[float]) -> dict[str, Any]:
    """When visits begin: so many in each piece of so many seconds, from the first to the last."""
    first, seconds = min(began), max(max(began) - min(began), 1.0)
    pieces = min(MOST_PIECES, max(1, int(seconds / LEAST_SECONDS)))
    visits = [0] * pieces
    for moment in began:
        visits[min(int((moment - first) / seconds * pieces), pieces - 1)] += 1
    return {"seconds": seconds / pieces, "visits": visits}


def _chosen(path: Path, aim: Mapping[str, float]) -> dict[str, Any]:
    pages, addresses = Counter[str](), set[int]()
    visits = new = squares = 0
    longest = stayed = 0.0
    for visit in _each(path):
        pages.update(page.kind for page in visit.pages)
        addresses.update(hash(page.path) for page in visit.pages)
        visits, new, squares = visits + 1, new + visit.new, squares + len(visit.pages) ** 2
        longest, stayed = max(longest, visit.pages[-1].offset), stayed + visit.pages[-1].offset
    each = squares / pages.total()
    return {
        "visits": visits,
        "new": new / visits,
        "longest_seconds": longest,
        "mean_seconds": stayed / visits,
        "addresses": len(addresses),
        "pages": dict(pages),
        "pages_of_a_visit": each,
        "wanted": dict(aim),
        **_fit(mix.fit(pages, aim, pages_of_a_visit=each)),
    }


def _each(path: Path) -> Iterator[gathering.Visit]:
    chosen = Chosen(path)
    try:
        yield from chosen
    finally:
        chosen.close()


def _fit(fit: mix.Fit) -> dict[str, Any]:
    return {"chi_square": fit.chi_square, "freedom": fit.freedom, "p": fit.p}


def _names(logs: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in logs)


def _left(gathered: gathering.Gathered) -> str:
    reasons = (gathered.lines_left_out + gathered.visits_left_out).most_common(3)
    return "".join(f"; {count}: {reason}" for reason, count in reasons)
