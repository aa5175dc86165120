"""What a target on this machine consists of, found from the port it listens on.

From the listening process upwards to the supervisor that keeps it; that one's programs are the groups. Where the
databases, Redis and the counters are is said by the web process's own environment, so what is watched is what the
target uses, whatever the settings of this process are. Another machine shows its `/metrics` and nothing else.
"""

import http.client
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from loadtests.probes import sockets

ASK_SECONDS = 2.0
SUPERVISORS = ("supervisor.supervisord", "supervisord")
# nginx and Redis write over the environment in which their supervisor named them.
NAMES = {"nginx": "nginx", "redis-server": "redis"}
WEB = "web"


@dataclass(frozen=True, slots=True)
class Parts:
    """`roots`: the first process of each group that no supervisor keeps; those of the supervisor are looked up again
    and again, for it starts programs anew. `ports`: by group, where connections wait to be accepted. `threads`: the
    requests that the web processes handle at one time."""

    supervisor: int | None = None
    roots: Mapping[str, int] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    threads: int | None = None
    connections: int | None = None  # that the edge takes at one time
    metrics_folder: Path | None = None
    metrics_url: str | None = None
    status_url: str | None = None
    databases: Mapping[str, str] = field(default_factory=dict, repr=False)  # by group; with passwords
    redis: str | None = field(default=None, repr=False)


def elsewhere(metrics_url: str) -> Parts:
    """A target on another machine."""
    return Parts(metrics_url=metrics_url)


def here(port: int) -> Parts:
    """Who listens on this port of this machine, with all that belongs to it. Nothing but its group where no supervisor
    keeps it."""
    first = _first_of(port)
    if first is None:
        return Parts()
    supervisor = _supervisor(first)
    roots = programs(supervisor) if supervisor is not None else {_name(first): first}
    ports = {_name(first): port}
    web = roots.get(WEB)
    environment = _environment(web)
    bind = environment.get("STAMPEDE_BIND", "")
    ports |= {WEB: int(bind.rpartition(":")[2])} if bind.rpartition(":")[2].isdigit() else {}
    databases = _databases(environment)
    redis = environment.get("STAMPEDE_REDIS_URL")
    conf = _edge_conf(roots.get("nginx"))
    folder = environment.get("PROMETHEUS_MULTIPROC_DIR")
    return Parts(
        supervisor=supervisor,
        roots=(roots if supervisor is None else {}) | _unsupervised(databases, redis, roots),
        ports=ports,
        threads=_threads(environment) if web is not None else None,
        connections=conf,
        metrics_folder=Path(folder) if folder else None,
        metrics_url=f"http://127.0.0.1:{ports[WEB]}/metrics" if WEB in ports else None,
        status_url=_status_url(roots.get("nginx")),
        databases=databases,
        redis=redis,
    )


def programs(supervisor: int) -> dict[str, int]:
    """The supervisor's programs by name, with the process that each began as. Empty when it has ended."""
    try:
        children = psutil.Process(supervisor).children()
    except psutil.Error:
        return {}
    return {_name(child.pid): child.pid for child in children}


def members(roots: Mapping[str, int], parents: Mapping[int, int]) -> dict[str, list[int]]:
    """Each group's processes: its first one and all below it. `parents`: of every process, its parent."""
    names = {pid: name for name, pid in roots.items()}
    found: dict[str, list[int]] = {name: [] for name in roots}
    for pid in parents:
        above: int | None = pid
        while above and above not in names:
            above = parents.get(above)
        if above:
            found[names[above]].append(pid)
    return found


def parents() -> dict[int, int]:
    """The parent of each process of this machine."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name in parentheses may hold anything; what follows the last one does not.
                found[int(entry.name)] = int((entry / "stat").read_bytes().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it has just ended
    return found


def _first_of(port: int) -> int | None:
    """The process that opened the port; those it started have it as well."""
    found = {one.inode for one in sockets.listeners() if one.port == port}
    holding, above = sockets.holders(found) if found else set(), parents()
    return min((pid for pid in holding if above.get(pid) not in holding), default=None)


def _supervisor(pid: int) -> int | None:
    try:
        line = psutil.Process(pid).parents()
        return next((one.pid for one in line if any(part in SUPERVISORS for part in one.cmdline())), None)
    except psutil.Error:
        return None


def _name(pid: int) -> str:
    try:
        kind = psutil.Process(pid).name()
    except psutil.Error:
        return "?"
    return NAMES.get(kind) or _environment(pid).get("SUPERVISOR_PROCESS_NAME") or WEB


def _environment(pid: int | None) -> dict[str, str]:
    try:
        return psutil.Process(pid).environ() if pid is not None else {}
    except (psutil.Error, OSError):
        return {}  # somebody else's: what is not told is not watched


def _databases(environment: Mapping[str, str]) -> dict[str, str]:
    primary = environment.get("STAMPEDE_DATABASE_URL", "")
    replicas = [url for url in environment.get("STAMPEDE_REPLICA_URLS", "").split(",") if url.strip()]
    found = {"primary": primary, **{f"replica{at + 1}": url.strip() for at, url in enumerate(replicas)}}
    return {name: url for name, url in found.items() if url.startswith("mysql:")}


def _unsupervised(databases: Mapping[str, str], redis: str | None, roots: Mapping[str, int]) -> dict[str, int]:
    """Servers on this machine that somebody else keeps running."""
    wanted = {**databases, **({"redis": redis} if redis else {})}
    found: dict[str, int] = {}
    for name, url in wanted.items():
        parts = urlsplit(url)
        if name not in roots and parts.port and parts.hostname in ("127.0.0.1", "localhost", "::1"):
            pid = _first_of(parts.port)
            found |= {name: pid} if pid is not None else {}
    return found


def _threads(environment: Mapping[str, str]) -> int | None:
    from django.conf import settings  # here: a generator process never loads Django

    try:
        workers = int(environment.get("STAMPEDE_WEB_WORKERS") or settings.WEB_WORKERS)
        return workers * int(environment.get("STAMPEDE_WEB_THREADS") or settings.WEB_THREADS)
    except ValueError:
        return None


def _edge_conf(nginx: int | None) -> int | None:
    """worker_processes x worker_connections, of the file that nginx was started with."""
    if nginx is None:
        return None
    words = " ".join(_command_line(nginx)).split()
    try:
        text = Path(words[words.index("-c") + 1]).read_text()
    except (ValueError, IndexError, OSError):
        return None
    values = dict(_directives(text, ("worker_processes", "worker_connections")))
    return values.get("worker_processes", 1) * values["worker_connections"] if "worker_connections" in values else None


def _directives(text: str, names: Iterable[str]) -> Iterable[tuple[str, int]]:
    for line in text.splitlines():
        words = line.strip().rstrip(";").split()
        if len(words) == 2 and words[0] in names and words[1].isdigit():
            yield words[0], int(words[1])


def _command_line(pid: int) -> list[str]:
    try:
        return list(psutil.Process(pid).cmdline())
    except psutil.Error:
        return []


def _status_url(nginx: int | None) -> str | None:
    """Where this nginx tells of itself: asked at each of its ports."""
    if nginx is None:
        return None
    own = {f"socket:[{one.inode}]": one for one in sockets.listeners()}
    folder = f"/proc/{nginx}/fd"
    try:
        held = [own.get(os.readlink(f"{folder}/{name}")) for name in os.listdir(folder)]
    except OSError:
        return None
    places = sorted({(one.address, one.port) for one in held if one is not None and ":" not in one.address})
    urls = (f"http://{address.replace('0.0.0.0', '127.0.0.1')}:{port}/stub_status" for address, port in places)  # noqa: S104
    return next((url for url in urls if b"Active connections" in fetched(url, b"")), None)


def fetched(url: str, otherwise: bytes | None = None) -> bytes:
    """The body of an answer of 200. Raises `OSError` or `HTTPException`, unless `otherwise` says what to give then."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ConnectionError(f"{parts.path} answered {answer.status}")
        return body
    except (OSError, http.client.HTTPException):
        if otherwise is None:
            raise
        return otherwise
    finally:
        connection.close()
