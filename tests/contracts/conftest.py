"""The real parts that contracts are held against, one of each for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts import redis_server
from tests.contracts.redis_server import RedisServer


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
