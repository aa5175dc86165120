"""Lines become visits, whole; robots and resources are left out, and told."""

from collections.abc import Iterable

from loadtests.replay.gathering import Gathered, Visit, visits
from loadtests.replay.log_lines import Hit, ncsa
from loadtests.replay.rules import read
from tests.loadtests.replay.test_log_lines import NASA

SAFARI, FIREFOX = "Mozilla/5.0 Safari", "Mozilla/5.0 Firefox"


def hit(moment: float, path: str = "/shop/", *, client: str = "a", agent: str = SAFARI, **other: object) -> Hit:
    return Hit(client, agent, moment, **{"method": "GET", "path": path, "status": 200, **other})  # type: ignore[arg-type]


def gathered(hits: Iterable[Hit]) -> tuple[list[Visit], Gathered]:
    told = Gathered()
    return list(visits(hits, read(), told)), told


def test_a_visit_keeps_its_pages_and_its_pauses() -> None:
    found, _ = gathered([hit(100, "/shop/"), hit(117.5, "/shop/deals/"), hit(1900, "/shop/p/hat/?size=M")])
    pages = [(page.offset, page.path, page.kind) for page in found[0].pages]
    assert pages == [(0, "/shop/", "home"), (17.5, "/shop/deals/", "deals"), (1800, "/shop/p/hat/?size=M", "product")]
    assert len(found) == 1


def test_half_an_hour_without_a_page_ends_a_visit_and_who_comes_back_is_known() -> None:
    found, _ = gathered([hit(0), hit(1800), hit(3601), hit(3601, client="b")])
    assert [(visit.began, len(visit.pages), visit.new) for visit in found] == [
        (0, 2, True),
        (3601, 1, False),
        (3601, 1, True),
    ]


def test_two_browsers_behind_one_address_are_two_people() -> None:
    found, _ = gathered([hit(0), hit(1, agent=FIREFOX), hit(2), hit(3, agent=FIREFOX)])
    assert [len(visit.pages) for visit in found] == [2, 2]


def test_a_line_that_was_written_late_stands_where_it_belongs() -> None:
    found, _ = gathered([hit(0, "/shop/"), hit(30, "/shop/deals/"), hit(10, "/shop/p/slow/")])
    assert [page.path for page in found[0].pages] == ["/shop/", "/shop/p/slow/", "/shop/deals/"]


def test_what_is_left_out_is_told() -> None:
    found, told = gathered(
        [
            hit(0),
            hit(1, "/static/shop/shop.css?v=1"),
            hit(2, "/api/cart"),
            hit(3, "/shop/cart/add/", method="POST", status=303),
            hit(4, "/shop/p/gone/", status=404),
            hit(5, "/healthz"),
            hit(6, "/account/login/"),
            hit(7, agent="Googlebot/2.1"),
            hit(8, agent="-"),
        ]
    )
    assert [len(visit.pages) for visit in found] == [1]
    assert sum(told.lines_left_out.values()) == 8
    assert told.lines_left_out["a robot by its own word"] == 2
    assert told.lines_left_out["was answered with an error"] == 1


def test_robots_that_do_not_say_so_are_known_by_what_they_do() -> None:
    hurried = [hit(second / 2, f"/shop/p/{second}/", client="hurried") for second in range(40)]
    polite = [hit(0, "/robots.txt", client="polite", status=404), hit(60, client="polite")]
    endless = [hit(7 * second, client="endless") for second in range(600)]
    person = [hit(second * 9, client="person") for second in range(40)]
    found, told = gathered(sorted([*hurried, *polite, *endless, *person], key=lambda one: one.moment))
    assert [len(visit.pages) for visit in found] == [40]
    assert dict(told.visits_left_out) == {
        "asked faster than anybody reads": 1,
        "asked for robots.txt": 1,
        "a visit of more than 500 pages": 1,
    }


def test_a_public_log_becomes_visits() -> None:
    """Of a log without agents the address alone tells people apart; pictures are no pages."""
    found, told = gathered(ncsa(line) for line in NASA.splitlines())
    assert [[page.path for page in visit.pages] for visit in found] == [
        ["/history/apollo/"],
        ["/shuttle/countdown/"],
        ["/shuttle/missions/sts-73/mission-sts-73.html"],
        ["/shuttle/countdown/liftoff.html"],
    ]
    assert sum(told.lines_left_out.values()) == 2
