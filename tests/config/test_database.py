"""Routing in one process: two connections to the test's database, one of them called a replica."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from django.core.cache import caches
from django.db import Error, InterfaceError, OperationalError, connection, connections, transaction
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from config import database, marks, metrics
from config.replicas import Watch
from config.urls import handler500
from ico import board, invitations, sales, urls, waitlist
from ico.models import Entrant, Invitation, Sale, Terms
from tests.config.test_marks import since
from tests.ico.conftest import invite_all, join, numbered
from tests.ico.test_invitations import BTC, ETH

pytestmark = pytest.mark.django_db(transaction=True)
READER = "reader"


class Told(Watch):
    """Knows what a test tells it, and asks no server."""

    def start(self) -> None:
        pass

    def all_hold(self, gtids: str) -> None:
        self.saw_primary(gtids, self._clock())
        self.saw(READER, gtids)


class Unexpected(Exception):
    pass


@pytest.fixture
def watch(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """A second connection to the same database, routed to as to a replica that holds everything. What asks the primary
    without a reason raises."""

    def refuse(sql: str) -> None:
        raise Unexpected(sql)

    connections.settings[READER] = deepcopy(connections.settings["default"])
    connections[READER].connect()  # now: Django's tests refuse a connection of a name that they do not know
    settings.REPLICAS = [READER]
    settings.DATABASE_ROUTERS = ["config.database.Router"]
    settings.PROVENANCE = True
    watch = Told([READER], max_lag=1000)
    watch.all_hold("0-1-100")
    monkeypatch.setattr(database, "watch", watch)
    monkeypatch.setattr(database, "unexpected", refuse)
    # what a write is marked with can only be asked of MariaDB
    monkeypatch.setattr(marks, "_mark", lambda persons: None)
    caches["marks"].clear()
    since(caches["marks"], seconds_ago=3600)
    try:
        yield watch
    finally:
        connections[READER].close()
        del connections[READER]
        del connections.settings[READER]


@pytest.fixture
def reader(watch: Told, client: Client) -> Client:
    return client


def asked(step: Callable[[], object]) -> dict[str, int]:
    """How many queries `step` made, by database."""
    before = _counted()
    step()
    return {alias: count - before[alias] for alias, count in _counted().items() if count > before[alias]}


def _counted() -> dict[str, int]:
    roles = {"default": "writer", READER: "reader"}
    return {alias: int(metrics.QUERIES.labels(alias, role)._value.get()) for alias, role in roles.items()}


@pytest.fixture
def journey(sale: Sale, now: datetime) -> dict[str, str]:
    """An address of every kind that the sale answers with GET, by the name of its route."""
    place = join(sale, "ada@example.org")
    people = [join(sale, f"{name}@example.org") for name in ("bob", "eve")]
    steps = {invitation.entrant_id: invitation for invitation in invite_all(sale, now)}
    accepted, joined = (steps[person.entrant_id] for person in people)
    for invitation in (accepted, joined):
        invitations.accept_terms(invitation=_whole(invitation, now), client_address=None, now=now)
    invitations.enter_wallets(invitation=_whole(joined, now), btc_address=BTC, eth_address=ETH, now=now)
    token = invitations.token_of(joined.nonce)
    board._write(sale.pk)
    waitlist.forget()
    return {
        "landing": "/",
        "line": f"/line/{place.ticket}/",
        "terms": f"/i/{invitations.token_of(steps[place.entrant_id].nonce)}/",
        "wallet": f"/i/{invitations.token_of(accepted.nonce)}/wallet/",
        "payment": f"/i/{token}/payment/",
        "position_api": f"/api/position/{people[0].ticket}",
        "board_api": "/api/board",
        "payment_api": f"/api/payment/{token}",
        "openapi": "/api/openapi.json",
    }


def _whole(invitation: Invitation, now: datetime) -> Invitation:
    return invitations.find(invitations.token_of(invitation.nonce), now=now)


def test_no_page_of_the_sale_asks_the_primary(journey: dict[str, str], reader: Client) -> None:
    for_operators = {"ops", "ops_data", "ops_owed", "ops_owed_csv"}
    only_post = {"signup", "line_leave", "accept"}
    assert set(journey) - {"openapi"} == {route.name for route in urls.urlpatterns} - for_operators - only_post
    for name, path in journey.items():
        seen = asked(lambda path=path: _ok(reader, path))  # type: ignore[misc]
        assert set(seen) <= {READER}, name
        assert seen or name in ("board_api", "openapi"), f"{name} made no query, so this shows nothing"
        sales.forget()


def _ok(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200, path
    assert "Set-Cookie" not in response.headers
    assert "Cookie" not in response.get("Vary", "")


def test_a_query_that_goes_past_the_router_is_seen(
    journey: dict[str, str], reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: the same pages, with one query that names the primary."""

    def on_the_primary(now: datetime) -> Sale:
        return Sale.objects.using("default").get()

    sales.forget()
    monkeypatch.setattr(sales, "_chosen", on_the_primary)
    with pytest.raises(Unexpected, match="ico_sale"):
        reader.get(journey["landing"])
    assert asked(lambda: sales._chosen(timezone.now())) == {"default": 1}, "outside of a request it may"


def test_a_reason_makes_it_expected(journey: dict[str, str], reader: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_reason(now: datetime) -> Sale:
        with database.primary("test"):
            return Sale.objects.get()

    sales.forget()
    before = metrics.PRIMARY_READS.labels("test")._value.get()
    monkeypatch.setattr(sales, "_chosen", with_a_reason)
    assert asked(lambda: _ok(reader, journey["landing"])) == {"default": 1}
    assert metrics.PRIMARY_READS.labels("test")._value.get() == before + 1


def test_writing_requests_transactions_and_whatever_is_no_request_stay_on_the_primary(
    sale: Sale, reader: Client
) -> None:
    assert asked(lambda: reader.post("/signup/", {"email": "ada@example.org"})).keys() == {"default"}
    assert asked(lambda: numbered(sale)).keys() == {"default"}
    sales.forget()
    with transaction.atomic():
        assert asked(lambda: _ok(reader, "/")).keys() == {"default"}
    sales.forget()
    assert asked(lambda: _ok(reader, "/")).keys() == {READER}


def test_a_board_that_is_missing_is_made_from_the_primary(sale: Sale, reader: Client) -> None:
    before = metrics.PRIMARY_READS.labels("no board yet")._value.get()
    _ok(reader, "/api/board")
    assert metrics.PRIMARY_READS.labels("no board yet")._value.get() == before + 1


def test_whoever_wrote_is_sent_to_the_primary_until_the_replica_holds_it(
    journey: dict[str, str], reader: Client, watch: Told
) -> None:
    person = f"invitation:{Invitation.objects.get(state='joined').token_digest}"
    caches["marks"].set(marks._key(person), "0-1-101", timeout=60)
    assert asked(lambda: _ok(reader, journey["payment_api"])).keys() == {"default"}
    assert asked(lambda: _ok(reader, journey["wallet"])).keys() == {READER}, "of another person"
    watch.all_hold("0-1-101")
    assert asked(lambda: _ok(reader, journey["payment_api"])).keys() == {READER}


def test_a_primary_that_is_known_to_be_gone_is_not_waited_for(
    journey: dict[str, str], reader: Client, watch: Told
) -> None:
    person = f"invitation:{Invitation.objects.get(state='joined').token_digest}"
    missing = f"/i/{invitations.token_of('of nobody')}/"
    caches["marks"].set(marks._key(person), "0-1-101", timeout=60)
    assert asked(lambda: _ok(reader, journey["payment_api"])).keys() == {"default"}
    assert asked(lambda: reader.get(missing)).keys() >= {"default"}
    watch.failed("default", "gone")
    for path in (journey["payment_api"], missing):
        before = _counted()["default"]
        response = reader.get(path)
        assert (response.status_code, response["Retry-After"]) == (503, "5"), path
        assert _counted()["default"] == before
    assert asked(lambda: _ok(reader, journey["wallet"])).keys() == {READER}, "who did not write is served"


def test_a_watch_that_has_only_begun_does_not_refuse(
    journey: dict[str, str], reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "watch", Told([READER], max_lag=1000))
    assert asked(lambda: _ok(reader, journey["payment_api"])).keys() == {"default"}


def test_marks_that_cannot_be_read_lead_to_the_primary_for_persons_alone(
    journey: dict[str, str], reader: Client
) -> None:
    caches["marks"].clear()
    assert asked(lambda: _ok(reader, journey["payment_api"])).keys() == {"default"}
    sales.forget()
    assert asked(lambda: _ok(reader, journey["landing"])).keys() == {READER}


def test_a_poll_in_steady_state_asks_neither_a_database_nor_the_cache(
    sale: Sale, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = join(sale, "ada@example.org")
    numbered(sale)
    path = f"/api/position/{place.ticket}"
    assert asked(lambda: _ok(reader, path)) == {READER: 1}

    def refuse(*args: object) -> None:
        raise AssertionError("the marks were read")

    monkeypatch.setattr(marks, "of", refuse)
    assert asked(lambda: _ok(reader, path)) == {}


def test_a_place_whose_turn_the_board_knows_before_the_replica_is_never_waiting_behind_it(
    sale: Sale, now: datetime, reader: Client
) -> None:
    place = join(sale, "ada@example.org")
    invite_all(sale, now)
    Entrant.objects.filter(pk=place.entrant_id).update(state="waiting")  # as a replica would still say
    assert reader.get(f"/api/position/{place.ticket}").json()["state"] == "invited"


def test_provenance_names_the_oldest_part(journey: dict[str, str], reader: Client, watch: Told) -> None:
    def told(path: str) -> tuple[str, float]:
        response = reader.get(path)
        return response["X-Served-From"], float(response["X-Data-Age"])

    watch._clock = lambda offset=watch._clock: offset() + 50  # type: ignore[misc]  # nobody looked for 50 s
    source, age = told(journey["payment_api"])
    assert source == "replica"
    assert 50 <= age < 60
    watch.all_hold("0-1-100")
    source, age = told(journey["payment_api"])
    assert (source, age < 10) == ("replica", True)
    source, age = told(journey["board_api"])
    assert source == "object-cache"
    assert told(journey["openapi"]) == ("object-cache", 0.0)
    watch.failed(READER, "gone")
    assert told(journey["payment_api"]) == ("primary", 0.0)
    response = reader.post("/signup/", {"email": "not one"}, headers={"accept": "application/json"})
    assert (response.status_code, response["X-Served-From"], response["X-Data-Age"]) == (422, "primary", "0.0")


def test_what_is_remembered_is_as_old_as_the_replica_was_when_it_was_read(
    journey: dict[str, str], reader: Client, watch: Told
) -> None:
    sales.forget()
    watch._clock = lambda offset=watch._clock: offset() + 50  # type: ignore[misc]
    for _ in range(2):  # read from the replica, then from memory
        response = reader.get("/api/board")
        assert 50 <= float(response["X-Data-Age"]) < 60


def test_an_age_that_is_not_known_is_not_told(journey: dict[str, str], reader: Client, watch: Told) -> None:
    watch.failed("default", "gone")
    watch.saw(READER, "0-1-3")  # further back than this process remembers
    response = reader.get(journey["payment_api"])
    assert response["X-Served-From"] == "replica"
    assert "X-Data-Age" not in response


def test_without_provenance_nothing_is_told(journey: dict[str, str], reader: Client, settings: Settings) -> None:
    settings.PROVENANCE = False
    response = reader.get(journey["payment_api"])
    assert not {"X-Served-From", "X-Data-Age"} & set(response.headers)


def test_on_the_embedded_default_there_is_no_router_and_no_middleware(settings: Settings) -> None:
    settings.REPLICAS, settings.PROVENANCE = [], False
    with pytest.raises(database.MiddlewareNotUsed):
        database.ReadingMiddleware(lambda request: None)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("error", [OperationalError(2002, "Can't connect"), InterfaceError(0, "")])
def test_the_sale_that_is_known_survives_a_database_that_does_not_answer(
    error: Error, sale: Sale, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    board._write(sale.pk)
    _ok(client, "/")
    tries = []

    def dead(now: datetime) -> Sale:
        tries.append(now)
        raise error

    monkeypatch.setattr(sales, "_chosen", dead)
    monkeypatch.setattr(sales, "_MEMORY_SECONDS", 0.0)
    _ok(client, "/")
    _ok(client, "/api/board")
    monkeypatch.setattr(sales, "_MEMORY_SECONDS", 60.0)
    _ok(client, "/")
    assert len(tries) == 2, "a dead database is asked again after a pause only"
    sales.forget()
    response = client.get("/")
    assert (response.status_code, response["Retry-After"]) == (503, "5"), "nothing is known, so nothing is shown"


def test_a_database_error_outside_of_a_view_is_503_too() -> None:
    try:
        raise OperationalError(2013, "Lost connection")
    except OperationalError:
        assert sys.exc_info()[0] is OperationalError
        response = handler500(RequestFactory().get("/admin/"))
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert handler500(RequestFactory().get("/")).status_code == 500


def test_an_operator_reads_what_the_operator_wrote(
    sale: Sale, reader: Client, watch: Told, admin_user: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: set[str] = set()
    monkeypatch.setattr(marks, "_mark", lambda persons: marked.update(persons))
    reader.force_login(admin_user)  # type: ignore[arg-type]
    session = f"session:{reader.session.session_key}"
    caches["default"].clear()  # the session is read from its row; on Redis the marks are gone with the rest
    since(caches["marks"], seconds_ago=3600)
    board._write(sale.pk)
    assert asked(lambda: reader.get("/ops/data.json")).keys() == {READER}
    change = f"/admin/ico/terms/{Terms.objects.get().pk}/change/"
    assert reader.post(change, {}).status_code in (200, 302, 403)
    assert marked == {session, f"user:{admin_user.pk}"}
    for person in marked:
        caches["marks"].clear()
        since(caches["marks"], seconds_ago=3600)
        caches["marks"].set(marks._key(person), "0-1-101", timeout=60)
        assert "default" in asked(lambda: reader.get("/ops/data.json"))


def test_relations_and_migrations_know_one_database(sale: Sale, watch: Told) -> None:
    assert connection.alias == "default"
    mirrored = Sale.objects.using(READER).get()
    entrant = Entrant(sale=mirrored, email="x@example.org", email_digest="x", signed_up_at=timezone.now())
    entrant.save()
    assert entrant._state.db == "default"
    router = database.Router()
    assert router.allow_migrate("default", "ico")
    assert not router.allow_migrate(READER, "ico")


def test_the_moment_of_what_was_read(watch: Told, now: datetime) -> None:
    shown = database.as_of()
    assert shown is not None
    assert abs(shown - timezone.now()) < timedelta(seconds=1)
