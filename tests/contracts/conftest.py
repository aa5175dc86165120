"""The real parts that contracts are held against, one of each for a module."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from pytest_django import Settings

from config import cache_settings
from tests.contracts import queues, redis_server, sqs_servers
from tests.contracts.queues import Broker
from tests.contracts.redis_server import RedisServer
from tests.contracts.sqs_servers import Proxy, Server
from tests.deadline import until


@pytest.fixture(scope="session")
def _redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server.running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_of_our_own(_redis: RedisServer) -> Iterator[RedisServer]:
    """Running and empty, whatever the test before did to it."""
    yield _redis
    assert _redis.process
    _redis.thaw()
    if _redis.process.poll() is not None:
        _redis.start()
    _redis.flush()


@pytest.fixture
def on_redis(settings: Settings, redis_of_our_own: RedisServer) -> RedisServer:
    settings.CACHES = cache_settings.on_redis(redis_of_our_own.url)
    # whatever the test before did, this process finds Redis again before this one begins
    until(lambda: cache.set("ready", 1), "the cache is used")
    cache.clear()
    return redis_of_our_own


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with sqs_servers.server() as running:
        yield running


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with sqs_servers.proxy(server) as between:
        yield between


@pytest.fixture
def sqs(proxy: Proxy, tmp_path: Path) -> Iterator[Broker]:
    """Queues of its own for each test, behind the proxy."""
    broker = queues.sqs(tmp_path, proxy.endpoint, prefix=f"{uuid.uuid4().hex[:8]}-")
    yield broker
    broker.close()
