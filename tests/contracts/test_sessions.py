"""Sessions with copies in a real Redis: what a copy spares, and that none keeps anybody logged in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.cache import cache as default
from django.core.cache import caches
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from config import sessions
from config.models import EndedSession
from tests.contracts.redis_server import RedisServer
from tests.deadline import until

pytestmark = pytest.mark.django_db
OURS = "config.sessions"
PAGE = "/account/password/"  # reads nothing but who asks


@pytest.fixture(params=[OURS])
def engine(request: pytest.FixtureRequest, settings: Settings) -> str:
    settings.SESSION_ENGINE = request.param
    return str(request.param)


@pytest.fixture
def member(on_redis: RedisServer, engine: str, db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create(username="ada@example.org"))
    assert is_in(client)
    return client


def is_in(client: Client) -> bool:
    status = client.get(PAGE).status_code
    assert status in (200, 303)
    return bool(status == 200)


def with_cookie(session_key: str) -> Client:
    """A new one each time: whoever is told that a session is over drops the cookie."""
    client = Client()
    client.cookies["sessionid"] = session_key
    return client


def name_of(client: Client) -> str:
    return sessions.digest(client.cookies["sessionid"].value)


def found_again() -> None:
    until(lambda: default.set("ready", 1), "the cache is used again", seconds=10)


def control(engine: str) -> Any:
    return pytest.mark.parametrize("engine", [OURS, f"django.contrib.sessions.backends.{engine}"], indirect=True)


# --- what a copy spares ---------------------------------------------------------------------------------------------
def test_who_asks_again_costs_one_query(member: Client, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    """The user; without a copy also the session, which is then copied."""
    for queries in (1, 1):
        with django_assert_num_queries(queries):
            assert is_in(member)
    default.clear()  # all of this Redis
    for queries in (2, 1):
        with django_assert_num_queries(queries):
            assert is_in(member)


@control("cache")
def test_who_is_logged_in_stays_so_when_redis_is_emptied_killed_and_back(
    member: Client, on_redis: RedisServer, engine: str
) -> None:
    """With sessions in the cache alone, the negative control, everybody would have to log in again."""
    on_redis.flush()
    assert is_in(member) is (engine == OURS)
    on_redis.kill()
    assert is_in(member) is (engine == OURS)
    on_redis.start()
    found_again()
    assert is_in(member) is (engine == OURS)


def test_one_logs_in_while_redis_is_silent(on_redis: RedisServer, engine: str) -> None:
    ada = User.objects.create(username="ada@example.org")
    on_redis.freeze()
    client = Client()
    client.force_login(ada)
    assert is_in(client)
    on_redis.thaw()
    found_again()
    assert is_in(client)


# --- what ends, ends ------------------------------------------------------------------------------------------------
@control("cached_db")
@pytest.mark.parametrize("trouble", ["freeze", "kill", "none"])
def test_who_logs_out_stays_logged_out(member: Client, on_redis: RedisServer, engine: str, trouble: str) -> None:
    """With a copy that is believed, the negative control, a logout that a silent Redis did not hear is undone."""
    stolen = member.cookies["sessionid"].value
    if trouble != "none":
        getattr(on_redis, trouble)()
    assert member.post("/account/logout/").status_code == 303
    assert not is_in(with_cookie(stolen))
    if trouble == "freeze":
        on_redis.thaw()
    if trouble == "kill":
        on_redis.start()
    found_again()
    assert is_in(with_cookie(stolen)) is (engine != OURS and trouble == "freeze")


def test_a_copy_that_comes_late_opens_nothing(member: Client) -> None:
    """Written by a request that began before, or by a packet that was long on its way. Without the row that says that
    the session has ended, the negative control, it would."""
    stolen, name = member.cookies["sessionid"].value, name_of(member)
    copy, thief = caches["sessions"].get(name), with_cookie(stolen)
    member.post("/account/logout/")
    assert caches["sessions"].get(name) is None
    caches["sessions"].set(name, copy)
    answer = thief.get(PAGE)
    assert (answer.status_code, thief.cookies["sessionid"].value) == (303, ""), "and the cookie is taken back"
    EndedSession.objects.all().delete()
    assert is_in(with_cookie(stolen))


def test_another_password_ends_the_sessions_of_the_old_one(member: Client) -> None:
    User.objects.update(password="another")
    assert not is_in(member)


def test_who_is_shut_out_is_out_at_once(member: Client) -> None:
    User.objects.update(is_active=False)
    assert not is_in(member)


def test_what_a_session_was_before_a_change_counts_no_more(member: Client, on_redis: RedisServer) -> None:
    """A change that Redis did not hear of goes on under another name, for the copy that it has is of before."""
    before = member.cookies["sessionid"].value
    on_redis.freeze()
    store = sessions.SessionStore(before)
    store["colour"] = "green"
    store.save()
    on_redis.thaw()
    found_again()
    assert store.session_key != before
    assert sessions.SessionStore(store.session_key)["colour"] == "green"
    assert not is_in(member), "the copy under the old name"


def test_a_made_up_cookie_leaves_nothing_behind(on_redis: RedisServer, engine: str) -> None:
    client = with_cookie("m4de0up0m4de0up0m4de0up0m4de0up0")
    assert client.post("/account/logout/").status_code == 303
    assert not EndedSession.objects.exists()
    assert not Session.objects.exists()


def test_a_copy_that_somebody_else_wrote_is_none(member: Client) -> None:
    """Who can write to the Redis cannot log in by it: what is stored is signed."""
    caches["sessions"].set(name_of(member), "eyJfYXV0aF91c2VyX2lkIjoiMSJ9:forged:signature")
    assert is_in(member), "by the row"


def test_what_is_over_is_deleted(member: Client) -> None:
    other = Client()
    other.force_login(User.objects.get())
    other.post("/account/logout/")
    ended, now = EndedSession.objects.count(), timezone.now()
    assert ended
    assert sessions.tidy(now=now) == 0
    later = now + timedelta(seconds=sessions.ENDED_SECONDS + 60)
    assert (sessions.tidy(now=later), EndedSession.objects.count(), Session.objects.count()) == (ended, 0, 1)
    assert sessions.tidy(now=now + timedelta(days=15)) == 1
    assert not Session.objects.exists()


def test_a_copy_ends_long_before_the_word_that_its_session_has_ended() -> None:
    assert sessions.COPY_SECONDS * 10 < sessions.ENDED_SECONDS
