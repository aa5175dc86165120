"""Django's CACHES on a folder or on Redis. What the alias "default" holds may be missing at any time; who must know
that it is missing asks "marks" or "sessions", which raise. No import of Django here, for the settings are made from
it."""

from pathlib import Path
from typing import Any

ANSWER_SECONDS = 0.5  # a Redis that needs longer counts as one that does not answer

Caches = dict[str, dict[str, Any]]


def on_files(folder: Path) -> Caches:
    backend = {"BACKEND": "config.cache.FileCache", "OPTIONS": {"MAX_ENTRIES": 10_000}}
    return {
        "default": {**backend, "LOCATION": folder / "cache"},
        "marks": {**backend, "LOCATION": folder / "marks", "ALIAS": "marks"},
    }


def on_redis(url: str) -> Caches:
    options = {
        "SOCKET_CONNECT_TIMEOUT": ANSWER_SECONDS,
        "SOCKET_TIMEOUT": ANSWER_SECONDS,
        "CONNECTION_POOL_CLASS": "config.redis_cache.Pool",
        "REDIS_CLIENT_CLASS": "config.redis_cache.Client",
        # Reading pickles from a server would let whoever can write there run code here.
        "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
    }
    forgiving = {**options, "IGNORE_EXCEPTIONS": True}
    return {
        "default": {"BACKEND": "config.redis_cache.DefaultCache", "LOCATION": url, "OPTIONS": forgiving},
        "marks": _raising(url, options, alias="marks", prefix="mark"),
        "sessions": _raising(url, options, alias="sessions", prefix="session"),
    }


def _raising(url: str, options: dict[str, Any], *, alias: str, prefix: str) -> dict[str, Any]:
    backend = "config.redis_cache.MarksCache"
    return {"BACKEND": backend, "LOCATION": url, "OPTIONS": options, "KEY_PREFIX": prefix, "ALIAS": alias}
