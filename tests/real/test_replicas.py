"""Replica routing as people meet it: a primary and two replicas of MariaDB, gunicorn, HTTP."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime

import pytest
from django.utils import timezone
from MySQLdb import OperationalError

from deploy.local import mariadb
from tests.deadline import until
from tests.ico.test_invitations import BTC, ETH
from tests.real.conftest import REPLICAS, Answer, Site, Stack, gunicorn

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def patient(stack: Stack) -> Iterator[Site]:
    """Reads from a replica however old it is: what is stale stays visible for as long as a test looks."""
    with gunicorn(stack, STAMPEDE_REPLICA_MAX_LAG="3600") as site:
        yield site


@pytest.fixture(scope="module")
def site(stack: Stack) -> Iterator[Site]:
    """As in production: a replica that is more than two seconds old is left out."""
    with gunicorn(stack) as site:
        yield site


def invited(stack: Stack, site: Site, email: str, *, accepts: bool = True) -> str:
    """Sign up and be invited, and accept the terms. Returns the invitation's token; everybody has caught up."""
    number = site.sign_up(email).split(".")[1]
    token: str = stack.python(
        "while waitlist.give_numbers(sale_id=sale.pk): pass\n"
        "fresh = {'load': 0.5, 'base_fee': 1, 'observed_at': now}\n"
        "models.ChainReading.objects.update_or_create(chain='ETH', defaults=fresh)\n"
        "models.Sale.objects.update(batch_interval_seconds=0, batch_size=1000)\n"
        "release.release(sale_id=sale.pk, holder='test', now=now)\n"
        "out = invitations.token_of(models.Invitation.objects.get(entrant_id=number).nonce)",
        number=int(number),
    )
    if accepts:
        assert site.post(f"/i/{token}/terms/", accept="on").status == 303
    stack.caught_up()
    return token


def payment_api(site: Site, token: str) -> Answer:
    return site.get(f"/api/payment/{token}")


def forget_marks(stack: Stack, *persons: str) -> None:
    stack.python("caches['marks'].delete_many([marks._key(person) for person in persons])", persons=persons)


def holder(stack: Stack, token: str) -> str:
    return str(stack.python("out = invitations._holder(invitations._digest(token))", token=token))


# --- read your writes -------------------------------------------------------------------------------------------------
def test_the_payer_sees_the_wallet_step_done_while_no_replica_knows(stack: Stack, patient: Site) -> None:
    token = invited(stack, patient, "payer@example.org")
    with stack.stopped(*REPLICAS):
        assert payment_api(patient, token).json["due"] == "wallet"
        assert patient.post(f"/i/{token}/wallet/", btc_address=BTC, eth_address=ETH).status == 303
        done = payment_api(patient, token)
        assert (done.status, done.source, done.age) == (200, "primary", 0.0)
        assert len(done.json["deposits"]) == 2
        page = patient.get(f"/i/{token}/payment/")
        assert (page.status, page.source) == (200, "primary")

        # Negative control: without the mark the same person is shown what the replicas know.
        forget_marks(stack, holder(stack, token))
        stale = payment_api(patient, token)
        assert (stale.status, stale.json["due"], stale.source) == (409, "wallet", "replica")
        assert until(lambda: payment_api(patient, token).age > 3, "the header says how old that is")
    known = until(lambda: payment_api(patient, token).status == 200, "the replicas have it")
    assert known


def test_whoever_signed_up_sees_the_place_at_once(stack: Stack, patient: Site) -> None:
    other = patient.sign_up("other@example.org")
    stack.caught_up()
    until(lambda: patient.get(f"/api/position/{other}").status == 200, "the other's place is known")
    with stack.stopped(*REPLICAS):
        mine = patient.sign_up("mine@example.org")
        assert patient.get(f"/api/position/{mine}").json["state"] == "placing"
        stack.python("while waitlist.give_numbers(sale_id=sale.pk): pass")
        assert patient.get(f"/api/position/{mine}").json["number"] is not None
        assert patient.get(f"/line/{mine}/").status == 200

        # Somebody else's mark is older than the numbers: stale, and the header says so.
        forget_marks(stack, f"entrant:{other.split('.')[1]}")
        stale = patient.get(f"/api/position/{other}")
        assert stale.json["number"] is None
        until(lambda: patient.get(f"/api/position/{other}").source == "replica", "the oldest part is the replica's")
    until(lambda: patient.get(f"/api/position/{other}").json["number"], "the replicas have it")


def test_a_place_that_no_replica_has_is_looked_for_on_the_primary(stack: Stack, patient: Site) -> None:
    with stack.stopped(*REPLICAS):
        ticket = patient.sign_up("unknown@example.org")
        forget_marks(stack, f"entrant:{ticket.split('.')[1]}")
        missing = {"name": "stampede_database_primary_reads_total", "reason": "missing on a replica"}
        before = patient.counted(**missing)
        assert patient.get(f"/api/position/{ticket}").status == 200
        assert patient.get(f"/line/{ticket}/").status == 200
        assert patient.counted(**missing) == before + 2
        forged = ticket[:-1] + ("A" if ticket[-1] != "A" else "B")
        assert patient.get(f"/api/position/{forged}").status == 404
        assert patient.counted(**missing) == before + 2, "a forged ticket costs the primary nothing"


def test_with_one_replica_stopped_the_other_serves_whoever_wrote(stack: Stack, patient: Site) -> None:
    token = invited(stack, patient, "half@example.org")
    with stack.stopped("replica1"):
        assert patient.post(f"/i/{token}/wallet/", btc_address=BTC, eth_address=ETH).status == 303
        assert payment_api(patient, token).status == 200
        until(lambda: payment_api(patient, token).source == "replica", "replica 2 is known to hold it")
        before = patient.queries("replica1")
        for _ in range(20):
            answer = payment_api(patient, token)
            assert (answer.status, answer.source) == (200, "replica")
        assert patient.queries("replica1") == before


def test_a_cache_that_was_emptied_makes_nobody_see_less(stack: Stack, patient: Site) -> None:
    token = invited(stack, patient, "flushed@example.org")
    try:
        with stack.stopped(*REPLICAS):
            assert patient.post(f"/i/{token}/wallet/", btc_address=BTC, eth_address=ETH).status == 303
            stack.python("caches['marks'].clear()")
            for _ in range(5):
                answer = payment_api(patient, token)
                assert (answer.status, answer.source) == (200, "primary")
            stack.marks_are_old()  # negative control: if the emptied cache were trusted
            assert payment_api(patient, token).status == 409
    finally:
        stack.marks_are_old()


_IS_BACK = """
try:
    out = caches["marks"].set("up", 1)
except Exception:
    out = False
"""


def test_without_redis_whoever_has_a_name_is_served_by_the_primary(stack: Stack, patient: Site) -> None:
    token = invited(stack, patient, "redis@example.org")
    stack.stop("redis")
    try:
        with stack.stopped(*REPLICAS):
            assert patient.post(f"/i/{token}/wallet/", btc_address=BTC, eth_address=ETH).status == 303
            answer = payment_api(patient, token)
            assert (answer.status, answer.source) == (200, "primary")
    finally:
        stack.start("redis")
        until(lambda: stack.python(_IS_BACK), "Redis is back")
        stack.marks_are_old()
    # The mark could not be written, so for a while no marks are trusted: not even by a cache that looks old.
    assert payment_api(patient, token).source == "primary"
    stack.marks_are_old()
    until(lambda: payment_api(patient, token).source == "replica", "the replicas are read again")


@contextmanager
def a_second_late(stack: Stack) -> Iterator[None]:
    """Both replicas apply what is written a second later, which is young enough to be read."""
    for replica in REPLICAS:
        stack.sql(replica, "STOP REPLICA", "CHANGE MASTER TO MASTER_DELAY = 1", "START REPLICA")
    try:
        yield
    finally:
        for replica in REPLICAS:
            stack.sql(replica, "STOP REPLICA", "CHANGE MASTER TO MASTER_DELAY = 0", "START REPLICA")
        stack.caught_up()


def test_a_mark_that_one_process_lost_is_not_missed_in_another(stack: Stack, patient: Site) -> None:
    """Redis is silent for the process that writes, and well again for the one that reads right after."""
    again = "writers are marked again"
    before = patient.log().count(again)
    lost, marked = (invited(stack, patient, f"{name}@example.org") for name in ("lost", "marked"))
    with gunicorn(stack, STAMPEDE_REPLICA_MAX_LAG="3600") as other, a_second_late(stack):
        stack.marks_are_old()
        until(lambda: payment_api(other, lost).source == "replica", "the other process trusts the marks")
        redis = stack.pid("redis")
        os.kill(redis, signal.SIGSTOP)
        try:
            assert patient.post(f"/i/{lost}/wallet/", btc_address=BTC, eth_address=ETH).status == 303
        finally:
            os.kill(redis, signal.SIGCONT)
        known = payment_api(other, lost)
        assert (known.status, known.source) == (200, "replica")

        # Negative control: who is marked is answered without a wait, and shown less when the mark is gone.
        until(lambda: payment_api(patient, lost) and patient.log().count(again) > before, "writers are marked again")
        with stack.stopped(*REPLICAS):
            assert patient.post(f"/i/{marked}/wallet/", btc_address=BTC, eth_address=ETH).status == 303
            forget_marks(stack, holder(stack, marked))
            stack.marks_are_old()
            assert payment_api(other, marked).status == 409


# --- health -----------------------------------------------------------------------------------------------------------
def served_by(site: Site, token: str, *, times: int = 40) -> set[str]:
    """Which databases answered so many requests; each must be answered well."""
    before = {alias: site.queries(alias) for alias in ("default", *REPLICAS)}
    for _ in range(times):
        answer = payment_api(site, token)
        assert answer.status == 200, answer
    return {alias for alias, count in before.items() if site.queries(alias) > count}


@pytest.fixture(scope="module")
def token(stack: Stack, site: Site) -> str:
    """An invitation that has joined, whose owner's writes every replica holds."""
    token = invited(stack, site, "reader@example.org")
    assert site.post(f"/i/{token}/wallet/", btc_address=BTC, eth_address=ETH).status == 303
    stack.caught_up()
    until(lambda: served_by(site, token, times=10) == set(REPLICAS), "both replicas are read from")
    return token


def test_reads_are_spread_and_the_primary_is_left_in_peace(site: Site, token: str) -> None:
    before = {alias: site.queries(alias) for alias in ("default", *REPLICAS)}
    for _ in range(60):
        answer = payment_api(site, token)
        assert (answer.status, answer.source) == (200, "replica")
        assert answer.age < 4  # a replica's, at most two seconds, and the time that answering takes
        assert not {"Set-Cookie", "Vary"} & set(answer.headers)
    made = {alias: site.queries(alias) - count for alias, count in before.items()}
    assert made["default"] == 0
    assert min(made["replica1"], made["replica2"]) >= 0.2 * sum(made.values())


@contextmanager
def writing(site: Site) -> Iterator[None]:
    """Somebody signs up all the time: a replica shows its lag only when there is something to lag behind."""
    over = threading.Event()

    def sign_up() -> None:
        number = 0
        while not over.wait(0.05):
            site.post("/signup/", email=f"w{number}-{id(over)}@example.org")
            number += 1

    writer = threading.Thread(target=sign_up)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join(60)


def test_a_replica_that_lags_is_left_out_and_comes_back(stack: Stack, site: Site, token: str) -> None:
    stack.sql("replica2", "STOP REPLICA", "CHANGE MASTER TO MASTER_DELAY = 6", "START REPLICA")
    try:
        with writing(site):
            until(lambda: served_by(site, token, times=20) & set(REPLICAS) == {"replica1"}, "replica 2 is left out")
            until(lambda: "replica2 is left out until it has caught up" in site.log(), "the log says which")
            assert payment_api(site, token).age < 2
    finally:
        stack.sql("replica2", "STOP REPLICA", "CHANGE MASTER TO MASTER_DELAY = 0", "START REPLICA")
    until(lambda: served_by(site, token, times=20) >= set(REPLICAS), "replica 2 is back")


def test_without_a_young_replica_the_primary_serves(stack: Stack, site: Site, token: str) -> None:
    with stack.stopped(*REPLICAS), writing(site):
        answer = until(lambda: (a := payment_api(site, token)).source == "primary" and a, "both are left out")
        assert (answer.status, answer.age) == (200, 0.0)
    until(lambda: payment_api(site, token).source == "replica", "they are back")


def test_a_killed_replica_costs_nobody_an_answer_and_comes_back(stack: Stack, site: Site, token: str) -> None:
    before = stack.pid("replica1")
    os.kill(before, signal.SIGKILL)
    served_by(site, token, times=60)
    assert "database replica1 is left out" in site.log()
    until(lambda: stack.pid("replica1") not in (0, before), "supervisor started it again")
    until(lambda: served_by(site, token, times=20) == set(REPLICAS), "it is read from again")


def test_a_replica_that_dies_in_the_middle_of_a_query_costs_a_second_look(stack: Stack, site: Site, token: str) -> None:
    """The rows are locked on both replicas, so the request waits on one of them; that one is killed."""
    answers: list[Answer] = []
    request = threading.Thread(target=lambda: answers.append(payment_api(site, token)))
    waiting = "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE state LIKE '%metadata lock%'"
    with mariadb.admin(stack.layout, "replica1") as one, mariadb.admin(stack.layout, "replica2") as two:
        held = {"replica1": one, "replica2": two}
        for cursor in held.values():
            cursor.execute("LOCK TABLES stampede.ico_invitation WRITE")
        request.start()

        def asked() -> str:
            for node, cursor in held.items():
                cursor.execute(waiting)
                if cursor.fetchone()["n"]:
                    return node
            return ""

        victim = until(asked, "a replica is asked")
        other = next(node for node in REPLICAS if node != victim)
        held[other].execute("UNLOCK TABLES")
        killed = stack.pid(victim)
        os.kill(killed, signal.SIGKILL)
        request.join(30)
    assert [(answer.status, answer.source) for answer in answers] == [(200, "replica")]
    until(lambda: stack.pid(victim) not in (0, killed), "supervisor started it again")
    until(lambda: served_by(site, token, times=20) == set(REPLICAS), "it is read from again")


def test_without_the_primary_everything_that_is_known_goes_on(stack: Stack, site: Site, token: str) -> None:
    waiting = site.sign_up("waiting@example.org")
    stack.python("while waitlist.give_numbers(sale_id=sale.pk): pass")
    stack.caught_up()
    assert until(lambda: site.get(f"/api/position/{waiting}").json["number"], "there is a number")
    os.kill(stack.pid("primary"), signal.SIGKILL)
    stack.stop("primary")  # supervisor must not start it again yet
    try:
        refused = site.post("/signup/", email="too-early@example.org")
        assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
        until(lambda: "database default is left out" in site.log(), "it is known to be dead")
        for path in ("/", "/api/board", f"/api/position/{waiting}", f"/i/{token}/payment/"):
            assert site.get(path).status == 200, path
        # Who wrote in the last second waits until a replica is known to have it; nobody is shown less than that.
        until(lambda: site.get(f"/line/{waiting}/").status == 200, "the replicas are known to hold the last signup")
        older = until(lambda: (a := payment_api(site, token)).age > 4 and a, "the age grows beyond the maximal lag")
        assert (older.status, older.source) == (200, "replica")
        the_board_goes_on_with_its_age(site)
    finally:
        stack.start("primary")
    until(lambda: site.post("/signup/", email="again@example.org").status == 202, "signups work again")
    until(lambda: payment_api(site, token).age < 2, "the replicas follow again")
    until(lambda: served_by(site, token, times=20) == set(REPLICAS), "both")
    stack.python("while waitlist.give_numbers(sale_id=sale.pk): pass")
    until(lambda: site.get("/api/board").age < 2, "there is a new board")


def the_board_goes_on_with_its_age(site: Site) -> None:
    """Nobody can renew it while the primary is dead: the same line again and again, which says how old it is."""
    first = site.get("/api/board")
    known, ages = datetime.fromisoformat(first.json["as_of"]), [first.age]
    while ages[-1] < first.age + 2:
        at_least = (timezone.now() - known).total_seconds()
        answer = site.get("/api/board")
        assert (answer.status, answer.body) == (200, first.body)
        assert answer.age >= at_least - 0.1, "it is said with one decimal"
        assert datetime.fromisoformat(answer.headers["X-Data-As-Of"]) <= known
        ages.append(answer.age)
    assert ages == sorted(ages)


def take_all_connections(stack: Stack, hogs: ExitStack) -> None:
    for _ in range(30):
        hogs.enter_context(mariadb.as_application(stack.layout, "primary"))


def test_too_many_connections_are_503_and_said_in_words(stack: Stack) -> None:
    with gunicorn(stack) as fresh, mariadb.admin(stack.layout, "primary") as admin, ExitStack() as hogs:
        admin.execute("SELECT @@max_connections AS usual")
        usual = admin.fetchone()["usual"]
        admin.execute("SET GLOBAL max_connections = 10")
        try:
            with pytest.raises(OperationalError, match="Too many connections"):
                take_all_connections(stack, hogs)
            refused = fresh.post("/signup/", email="crowded@example.org")
            assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
            assert "it has too many connections; raise max_connections" in fresh.log()
            assert fresh.get("/").status == 200
        finally:
            hogs.close()
            admin.execute("SET GLOBAL max_connections = %s", [usual])
        until(lambda: fresh.post("/signup/", email="crowded@example.org").status == 202, "there is room again")


def test_no_page_asked_the_primary_without_a_reason(stack: Stack, site: Site, patient: Site, token: str) -> None:
    """After all that happened above, and one walk more."""
    terms = invited(stack, site, "walker@example.org", accepts=False)
    ticket = site.sign_up("line@example.org")
    for path in (
        "/",
        f"/line/{ticket}/",
        f"/i/{terms}/",
        f"/i/{token}/payment/",
        f"/api/position/{ticket}",
        f"/api/payment/{token}",
        "/api/board",
        "/api/openapi.json",
    ):
        answer = site.get(path)
        assert answer.status == 200, path
        assert not {"Set-Cookie", "Vary"} & set(answer.headers), path
    assert (site.unexpected(), patient.unexpected()) == (0, 0)
