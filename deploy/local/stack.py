"""Starting and stopping a stack: what is there first, what waits for what, and what happens when it does not work."""

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from config import serving, supervising
from deploy.local import anvil, environment, mariadb, packages, probing, programs, sqs
from deploy.local.chains import must_follow_the_same_chains
from deploy.local.control import State, Supervisor, kill_leftovers, processes
from deploy.local.layout import (
    APPLICATION,
    CHAINS,
    NODES,
    SERVERS,
    CannotStart,
    Layout,
    make_folders,
    taken_ports,
)

START_SECONDS = 60
STOP_SECONDS = 120
_MANAGE = [sys.executable, str(supervising.BASE / "manage.py")]
_WITH_STATIC_FILES = ("web", "nginx")
_DEAD = ("BACKOFF", "EXITED", "FATAL", "UNKNOWN")

Say = Callable[[str], None]
Trouble = Callable[[Layout, str], str | None]


def is_running(layout: Layout) -> bool:
    return Supervisor(layout).answers()


def up(layout: Layout, say: Say) -> str | None:
    """Start the programs and wait until each answers. Whatever goes wrong, nothing is left running. Returns what
    preparing the application said. Raises `CannotStart`."""
    must_follow_the_same_chains(layout)
    make_folders(layout)
    with _alone(layout):
        _must_be_possible(layout, say)
        layout.save()
        environment.write(layout)
        _check_settings(layout)
        supervisor = Supervisor(layout)
        try:
            return _started(layout, supervisor, say)
        except BaseException:
            serving.go_on_to_the_end()
            say("Stopping what was started …")
            _stop(layout, lambda text: None)
            supervisor.gone()
            raise


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Two that start or stop the same stack would undo each other's work. The lock ends with the process."""
    with open(layout.folder / "stack.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStart(f"somebody is starting or stopping the stack in {layout.folder} right now") from None
        yield


def install(layout: Layout, say: Say) -> None:
    """What the programs need on this machine, and nothing started. Raises `CannotStart`."""
    packages.ensure(layout, say)
    if layout.has("sqs"):
        sqs.install(layout, say)
    if layout.has("ethereum"):
        anvil.install(layout, say)


def _must_be_possible(layout: Layout, say: Say) -> None:
    install(layout, say)
    if layout.has("ethereum") and (reason := anvil.missing()):
        raise CannotStart(reason)
    if kill_leftovers(layout):
        say("Ended what was left of an earlier start.")
    used = taken_ports(layout)
    if used:
        listed = ", ".join(f"{port} (for {name})" for name, port in used)
        raise CannotStart(f"somebody listens on {listed}; stop that, or name other ports with --base-port")


def _started(layout: Layout, supervisor: Supervisor, say: Say) -> str | None:
    """Servers first, all at once, the static files meanwhile; then the tables; then the application, which must find
    them."""
    _write(layout)
    _begin(layout, supervisor)
    servers = [name for name in (*SERVERS, *CHAINS) if layout.has(name)]
    rest = [name for name in layout.programs if name not in servers]
    with _static_files(layout, wanted=layout.has("web")):
        say(f"Starting {', '.join(servers)} …")
        supervisor.start(servers)
        _prepare_databases(layout, supervisor)
        _wait(layout, supervisor, servers)
        said = _prepare_application(layout, say) if rest else None
        if rest:
            say(f"Starting {', '.join(rest)} …")
        supervisor.start(name for name in rest if name not in _WITH_STATIC_FILES)
    supervisor.start(rest)
    _wait(layout, supervisor, rest)
    return said


@contextmanager
def _static_files(layout: Layout, *, wanted: bool) -> Iterator[None]:
    """Collected beside what the block does, and there when it ends. Compressing them takes longer than all of that."""
    if not wanted:
        yield
        return
    with open(layout.log("collectstatic"), "wb") as log:
        command = [*_MANAGE, "collectstatic", "--no-input"]
        process = subprocess.Popen(command, env=environment.whole(layout.folder), stdout=log, stderr=log)  # noqa: S603
        try:
            yield
            if process.wait():
                raise CannotStart(f"the static files were not collected.{_log(layout, 'collectstatic')}")
        finally:
            process.kill()
            process.wait()


def _begin(layout: Layout, supervisor: Supervisor) -> None:
    figures = {"PROMETHEUS_MULTIPROC_DIR": str(_metrics(layout))}
    process = supervisor.begin({**environment.whole(layout.folder), **figures})
    deadline = time.monotonic() + START_SECONDS
    while not supervisor.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotStart(f"supervisor does not start.{_end_of(layout.logs / 'supervisor.out')}")
        time.sleep(0.05)


def _metrics(layout: Layout) -> Path:
    return layout.data / "metrics"


def _write(layout: Layout) -> None:
    # Each process adds to a file of figures of its own; those of processes that are gone would count for ever.
    shutil.rmtree(_metrics(layout), ignore_errors=True)
    _metrics(layout).mkdir(parents=True)
    programs.write(layout)


def _prepare_databases(layout: Layout, supervisor: Supervisor) -> None:
    nodes = [node for node in NODES if layout.has(node)]
    _wait(layout, supervisor, nodes, probing.node_is_up)
    for node in nodes:
        mariadb.make_accounts(layout, node)
    if nodes:
        mariadb.make_database(layout)
    for replica in layout.replicas:
        mariadb.follow_the_primary(layout, replica)


def _prepare_application(layout: Layout, say: Say) -> str:
    say("Preparing tables and a sale …")
    return _manage(layout, "stack", "prepare", otherwise="preparing the application failed")


def _check_settings(layout: Layout) -> None:
    """The application's own checks, with what the shell says besides: before anything is started."""
    if any(layout.has(name) for name in APPLICATION):
        _manage(layout, "check", otherwise="the settings do not fit together")


def _manage(layout: Layout, *words: str, otherwise: str) -> str:
    """What a command said that ran with the stack's settings. Raises `CannotStart` when it failed."""
    done = subprocess.run(  # noqa: S603 (our own command)
        [*_MANAGE, *words], env=environment.whole(layout.folder), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotStart(f"{otherwise}:\n{_last_lines(done.stderr)}")
    return done.stdout


def _wait(layout: Layout, supervisor: Supervisor, names: Iterable[str], trouble: Trouble = probing.trouble) -> None:
    """Until each program runs and answers. One that ends, or is another process than before, has failed."""
    waiting, seen = list(names), dict[str, int]()
    deadline = time.monotonic() + START_SECONDS
    while waiting:
        states = supervisor.states()
        for name in list(waiting):
            state = states.get(name, State("UNKNOWN", 0, "supervisor is gone"))
            if state.name in _DEAD or (state.pid and seen.setdefault(name, state.pid) != state.pid):
                raise CannotStart(f"{name} does not start ({state.description}).{_log(layout, name)}")
            reason = trouble(layout, name)
            if reason is None and (state.runs or name not in (*APPLICATION, "miner")):
                waiting.remove(name)
            elif time.monotonic() > deadline:
                raise CannotStart(f"{name} does not answer after {START_SECONDS} s ({reason}).{_log(layout, name)}")
        time.sleep(0.05)


def _log(layout: Layout, name: str) -> str:
    return _end_of(layout.log(name))


def _end_of(path: Path) -> str:
    text = path.read_text(errors="replace") if path.exists() else ""
    return f" The end of {path}:\n{_last_lines(text)}"


def _last_lines(text: str, count: int = 15) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-count:])


def down(layout: Layout, say: Say, *, wipe: bool = False) -> None:
    """Stop everything in order, and remove the stack's folder if told so."""
    with _alone(layout):
        _stop(layout, say)
        if wipe:
            shutil.rmtree(layout.sockets, ignore_errors=True)
            shutil.rmtree(layout.folder)


def _stop(layout: Layout, say: Say) -> None:
    """In the order of the ranks by supervisor; what it leaves, or left behind when it was killed, is ended after."""
    supervisor = Supervisor(layout)
    if supervisor.answers():
        supervisor.shut_down()
    else:
        kill_leftovers(layout)
    deadline, told = time.monotonic() + STOP_SECONDS, time.monotonic()
    while any(processes(layout)) and time.monotonic() < deadline:
        if time.monotonic() - told > 5:
            told = time.monotonic()
            still = [name for name, state in supervisor.states().items() if state.pid]
            say(f"Waiting for {', '.join(still) or 'supervisor'} to stop …")
        time.sleep(0.05)
    killed = kill_leftovers(layout)
    if killed:
        say(f"{len(killed)} processes did not stop within {STOP_SECONDS} s and were killed.")
