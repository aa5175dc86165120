"""The Redis of a stack: cache, limits, marks of who wrote, short locks. Nothing in it is the only copy of anything:
limits and locks end by themselves, the rest is computed again. So nothing is written to disk.
When memory is full, what would end soonest goes, old marks of writers among the first, and never the moment since when
marks are held, which has no end: it stands for all that was not lost (decision 12). When nothing is left that ends,
writes are refused, which the application takes as it takes a Redis that does not answer."""

import shutil
from pathlib import Path

from deploy.local.layout import HOST, Layout

_OPTIONS = """\
bind {host}
port {port}
dir {folder}
daemonize no
save ""
appendonly no
maxmemory 128mb
maxmemory-policy volatile-ttl
databases 64
"""


def _file(layout: Layout) -> Path:
    return layout.conf / "redis.conf"


def write(layout: Layout) -> None:
    _file(layout).write_text(_OPTIONS.format(host=HOST, port=layout.port("redis"), folder=layout.folder))


def command(layout: Layout) -> list[str]:
    return [shutil.which("redis-server") or "/usr/bin/redis-server", str(_file(layout))]
