"""From a log to the visits of a run: all of it, bounded, the same for the same seed."""

import gzip
import itertools
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtests.replay import filling, made_log, mix, preparing, reading, rules
from loadtests.replay.gathering import Visit
from loadtests.replay.store import CHOSEN, Chosen
from tests.loadtests.replay.test_log_lines import EDGE, NASA

LINES = 20_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, made_log.Truth]:
    log, truth = tmp_path_factory.mktemp("log") / "access.log", made_log.Truth()
    log.write_text(
        "".join(f"{line}\n" for line in made_log.lines(count=LINES, seed=3, truth=truth, visits_a_second=0.2))
    )
    return log, truth


def prepare(run_dir: Path, *logs: Path, arrivals: int = 50, seed: int = 1, **wanted: object) -> dict[str, object]:
    asked = preparing.Wanted(logs=logs, **{"weights": {}, **wanted})  # type: ignore[arg-type]
    return preparing.prepare(wanted=asked, arrivals=range(arrivals), seed=seed, run_dir=run_dir)


def chosen(run_dir: Path) -> list[Visit]:
    file = Chosen(run_dir / CHOSEN)
    try:
        return list(file)
    finally:
        file.close()


def test_a_made_log_is_read_as_it_was_made(made: tuple[Path, made_log.Truth], tmp_path: Path) -> None:
    log, truth = made
    told = prepare(tmp_path, log, arrivals=truth.visits)
    assert truth.lines == LINES
    assert told["read"]["lines"] == LINES
    assert sum(told["read"]["unread"].values()) == truth.rubbish > 0
    assert told["log"]["lines_left_out"]["a robot by its own word"] == truth.robots > 0
    assert told["log"]["pages"] == dict(truth.pages)
    assert truth.new < truth.visits
    assert (told["log"]["visits"], told["log"]["new"]) == (truth.visits, truth.new / truth.visits)
    # As many arrivals as visits: each is made once, in the log's order, and nothing of it is changed.
    visits = chosen(tmp_path)
    assert [visit.began for visit in visits] == sorted(visit.began for visit in visits)
    assert Counter(page.kind for visit in visits for page in visit.pages) == truth.pages


def test_weights_choose_visits_and_change_none(made: tuple[Path, made_log.Truth], tmp_path: Path) -> None:
    log, truth = made
    prepare(tmp_path, log, arrivals=truth.visits)
    whole = set(chosen(tmp_path))
    told = prepare(tmp_path, log, arrivals=4_000, weights={"deals": 3.0})
    visits = chosen(tmp_path)
    assert len(visits) == 4_000
    assert set(visits) <= whole
    odds = [count["deals"] / (sum(count.values()) - count["deals"]) for count in (truth.pages, told["chosen"]["pages"])]
    assert odds[1] / odds[0] == pytest.approx(3, rel=0.05)
    assert told["chosen"]["new"] == pytest.approx(truth.new / truth.visits, abs=0.001)
    assert told["chosen"]["p"] > 0.05


def test_more_arrivals_than_visits_are_spread(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(_line(f"h{host}", host, f"/shop/p/{host}/") for host in range(10)))
    prepare(tmp_path, log, arrivals=40)
    paths = [visit.pages[0].path for visit in chosen(tmp_path)]
    assert Counter(paths) == {f"/shop/p/{host}/": 4 for host in range(10)}
    assert all(one != other for one, other in itertools.pairwise(paths))


def test_the_same_seed_makes_the_same_run(made: tuple[Path, made_log.Truth], tmp_path: Path) -> None:
    runs = []
    for seed in (1, 1, 2):
        prepare(tmp_path, made[0], seed=seed)
        runs.append((tmp_path / CHOSEN).read_bytes())
    assert runs[0] == runs[1] != runs[2]


def test_memory_is_taken_by_visits_and_not_by_lines(tmp_path: Path) -> None:
    def most(lines: int, work: Callable[[Path], object]) -> int:
        log = tmp_path / f"{lines}.log"
        with log.open("w") as file:
            file.writelines(f"{line}\n" for line in _made(lines))
        tracemalloc.start()
        kept = work(log)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del kept
        return peak

    def a_line(work: Callable[[Path], object]) -> float:
        most(100, work)  # what is filled once is not counted
        return (most(12_000, work) - most(3_000, work)) / 9_000

    assert a_line(lambda log: prepare(tmp_path, log, arrivals=10)) < 80  # bytes; a visit has a dozen lines
    assert a_line(lambda log: list(reading.hits([log], reading.Reading()))) > 250  # what holding them would take


def _made(lines: int) -> Iterator[str]:
    return made_log.lines(count=lines, seed=1, truth=made_log.Truth(), visits_a_second=0.02)


def test_logs_of_several_servers_are_one(tmp_path: Path) -> None:
    logs = [tmp_path / "one.log", tmp_path / "two.log.gz"]
    logs[0].write_text(_line("a", 0, "/shop/") + _line("a", 40, "/shop/deals/"))
    logs[1].write_bytes(gzip.compress(_line("a", 20, "/shop/p/hat/").encode()))
    prepare(tmp_path, *logs, arrivals=1)
    assert [page.path for page in chosen(tmp_path)[0].pages] == ["/shop/", "/shop/p/hat/", "/shop/deals/"]


def test_a_public_log_with_the_rubbish_at_its_end(tmp_path: Path) -> None:
    log = tmp_path / "nasa.log"
    log.write_bytes(NASA.encode() + b"alyssa.p\n\xff\xfe\n\n" + b"x" * 200_000 + b"\n" + NASA.splitlines()[0].encode())
    told = prepare(tmp_path, log, arrivals=1)
    assert told["read"]["lines"] == 10
    assert told["read"]["unread"] == {"not in the form of this log": 3}
    assert "nasa.log:7: 'alyssa.p'" in told["read"]["examples"]["not in the form of this log"]


def test_routes_are_filled_from_a_sample(tmp_path: Path) -> None:
    log, urls = tmp_path / "edge.log", tmp_path / "urls"
    log.write_text(f"{EDGE}\n")
    with pytest.raises(filling.NoSample, match="/shop/p/…/ and not which"):
        prepare(tmp_path, log)
    urls.write_text("/shop/p/hat/\n/shop/c/hats/\n")
    prepare(tmp_path, log, arrivals=1, urls=urls)
    assert [page.path for page in chosen(tmp_path)[0].pages] == ["/shop/p/hat/"]


def test_what_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(reading.NoLog, match=r"log cannot be read: .*No such file"):
        prepare(tmp_path, log)
    log.write_text("")
    with pytest.raises(reading.NoLog, match=r"no line of .*log is one of an access log"):
        prepare(tmp_path, log)
    log.write_text("rubbish\n" * 3)
    with pytest.raises(reading.NoLog, match="3 lines: not in the form"):
        prepare(tmp_path, log)
    log.write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(reading.NoLog, match="cannot be read"):
        prepare(tmp_path, log)
    log.write_text(_line("a", 0, "/shop/cart/"))
    with pytest.raises(preparing.NothingToReplay, match="no visit to replay in 1 lines; 1: one person's own"):
        prepare(tmp_path, log)


def test_kinds_of_ones_own(tmp_path: Path) -> None:
    log, kinds = tmp_path / "nasa.log", tmp_path / "kinds.toml"
    log.write_text(NASA)
    kinds.write_text("[[kind]]\nkind = 'shuttle'\npattern = '^/shuttle/'\n")
    told = prepare(tmp_path, log, kinds=kinds)
    assert told["log"]["pages"] == {"shuttle": 4}
    assert told["log"]["lines_left_out"] == {"no kind has this address": 2}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[kind]]\nkind = 'a'\npattern = '('\n", "is none"),
        ("[[kind]]\nkind = 'a'\n", "are wanted"),
        ("kind = 3\n", "are wanted"),
        ("[[kind]]\nkind = 'A b'\npattern = ''\n", "small letters"),
        ("[[kind\n", "line 1"),
    ],
)
def test_kinds_with_mistakes(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "kinds.toml").write_text(text)
    with pytest.raises(rules.KindMistake, match=why):
        rules.read(tmp_path / "kinds.toml")


def test_weights_are_read_or_refused() -> None:
    assert preparing.weights(["deals=3", "search=0.5,home=2"]) == {"deals": 3.0, "search": 0.5, "home": 2.0}
    for wrong in ("deals", "deals=many", "=", "deals=1,deals=2"):
        with pytest.raises(mix.MixMistake):
            preparing.weights([wrong])


def test_achieved_is_held_against_planned(made: tuple[Path, made_log.Truth], tmp_path: Path) -> None:
    assert preparing.achieved(run_dir=tmp_path, answered={"replay.home": 3}) is None
    planned = prepare(tmp_path, made[0], arrivals=1_000)["chosen"]["pages"]
    answered = {f"replay.{kind}": count for kind, count in planned.items()} | {
        "resource.css": 99,
        "replay.cart_badge": 99,
    }
    whole = preparing.achieved(run_dir=tmp_path, answered=answered)
    assert (whole["chi_square"], whole["achieved"]) == (0, planned)
    lost = preparing.achieved(run_dir=tmp_path, answered={**answered, "replay.product": planned["product"] // 3})
    assert lost["p"] < 0.01
    json.dumps(lost, allow_nan=False)


def _line(client: str, second: int, path: str) -> str:
    when = f"21/Nov/2026:10:{second // 60:02}:{second % 60:02} +0000"
    return f'{client} - - [{when}] "GET {path} HTTP/1.1" 200 5 "-" "Mozilla/5.0"\n'
