"""Where the parts of one stack are: its programs, their ports, its files. Two stacks differ in folder and ports."""

import json
import os
import pwd
import secrets
import socket
import tempfile
import zlib
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

HOST = "127.0.0.1"  # nothing here listens where another machine could ask
DEFAULT_PORT = 7000
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "var" / "stack"
SOCKET_PATH_LIMIT = 107

NODES = ("primary", "replica1", "replica2")
SERVERS = (*NODES, "redis", "sqs", "smtp")
APPLICATION = ("web", "worker", "clock", "follower", "chain")
PROGRAMS = (*SERVERS, *APPLICATION, "nginx")
# Real nodes of the chains, and who mines where the node does not: only for who asks for them.
CHAINS = ("ethereum", "bitcoin")
KNOWN = (*SERVERS, *CHAINS, *APPLICATION, "miner", "nginx")
# Added to the stack's first port.
PORTS = {
    "nginx": 0,
    "web": 1,
    "nginx-status": 2,
    "primary": 10,
    "replica1": 11,
    "replica2": 12,
    "redis": 20,
    "sqs": 30,
    "smtp": 40,
    "ethereum": 45,
    "bitcoin": 46,
}
WIDTH = 50
# Where a stack that names no ports may be: below the ports that outgoing connections take.
_FREE_PORTS = range(8000, 9951, WIDTH)


class CannotStart(Exception):
    """The stack cannot be started or asked; the message says why and what to do."""


def user() -> str:
    """Who runs this. LOGNAME and USER may still name who it was before `sudo` or `su`."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise CannotStart(f"the user {os.geteuid()} has no name on this machine; start it as one that has") from None


def _secret() -> str:
    return secrets.token_urlsafe(18)


@dataclass(frozen=True, slots=True)
class Layout:
    """One stack. `programs` are those that `up` starts; `relaxed`: the primary may lose the last second when the
    machine dies (for tests). The passwords are made once and kept with the rest in `stack.json`."""

    folder: Path
    base_port: int = DEFAULT_PORT
    programs: tuple[str, ...] = PROGRAMS
    relaxed: bool = False
    password: str = field(default_factory=_secret, repr=False)
    replication_password: str = field(default_factory=_secret, repr=False)
    bitcoin_password: str = field(default_factory=_secret, repr=False)

    def port(self, name: str) -> int:
        return self.base_port + PORTS[name]

    def has(self, name: str) -> bool:
        return name in self.programs

    @property
    def replicas(self) -> tuple[str, ...]:
        return tuple(node for node in NODES[1:] if self.has(node))

    @property
    def chains(self) -> tuple[str, ...]:
        """The chains with a real node; the others are simulated."""
        return tuple(chain for chain in CHAINS if self.has(chain))

    @property
    def data(self) -> Path:
        """The application's data folder."""
        return self.folder / "app"

    @property
    def refusals(self) -> Path:
        """While this file is there, the mail server refuses what it says (`deploy/local/smtp_sink.py`)."""
        return self.folder / "smtp-refuses"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def conf(self) -> Path:
        return self.folder / "conf"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def log_files(self, program: str | None = None) -> list[Path]:
        """Those that are there: of one program (nginx has a folder of its own besides), or of all."""
        return sorted(self.logs.glob(f"{program or '*'}.log")) + sorted(self.logs.glob(f"{program or '*'}/*.log"))

    @property
    def sockets(self) -> Path:
        """A socket's path may have 107 characters, and supervisor adds its process id while it makes one: below a long
        path the sockets are in a folder of their own, which only this user can look into."""
        here = self.folder / "run"
        if len(str(here / "supervisor.sock.1234567890")) <= SOCKET_PATH_LIMIT:
            return here
        mark = zlib.crc32(str(self.folder).encode())
        return Path(tempfile.gettempdir()) / f"stampede-{user()}-{mark:08x}"

    def socket(self, name: str) -> Path:
        return self.sockets / f"{name}.sock"

    @property
    def _file(self) -> Path:
        return self.folder / "stack.json"

    def save(self) -> None:
        """Keep it for the commands that come after `up`; it holds passwords, so only its owner can read it."""
        kept = {name: value for name, value in asdict(self).items() if name != "folder"}
        draft = self._file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(kept, indent=1))
        draft.replace(self._file)


def is_stack(folder: Path) -> bool:
    return (folder / "stack.json").is_file()


def load(folder: Path) -> Layout:
    """The stack that was started in this folder. Raises `CannotStart` when there never was one."""
    try:
        kept = json.loads((folder / "stack.json").read_text())
    except FileNotFoundError:
        raise CannotStart(
            f"there is no stack in {folder}; start one with: manage.py stack up --folder {folder}"
        ) from None
    return Layout(folder=folder, **{**kept, "programs": tuple(kept["programs"])})


def asked(folder: Path, *, only: str | None, base_port: int | None, relaxed: bool) -> Layout:
    """The stack that somebody wants in this folder: passwords and ports stay what they were there, unless ports are
    named (0: free ones). Raises `CannotStart`."""
    before = load(folder) if is_stack(folder) else Layout(folder)
    base = before.base_port if base_port is None else base_port or free_base(folder)
    if not 0 < base <= 65_535 - WIDTH:
        raise CannotStart(f"{base} cannot be the first of {WIDTH} ports; name one from 1 to {65_535 - WIDTH}")
    return replace(before, programs=chosen(only) if only is not None else PROGRAMS, base_port=base, relaxed=relaxed)


def with_nodes(layout: Layout, chains: tuple[str, ...]) -> Layout:
    """The same stack with real nodes of these chains. The simulated ones go on for the rest only."""
    named = {*layout.programs, *chains}
    if "bitcoin" in chains:
        named.add("miner")
    if set(chains) == set(CHAINS):
        named.discard("chain")
    return replace(layout, programs=_in_order(named))


def make_folders(layout: Layout) -> None:
    """Raises `CannotStart` when somebody else owns the folder of the sockets."""
    for folder in (layout.folder, layout.data, layout.logs, layout.conf):
        folder.mkdir(parents=True, exist_ok=True)
    layout.sockets.mkdir(mode=0o700, exist_ok=True)
    if layout.sockets.stat().st_uid != os.geteuid():
        raise CannotStart(f"{layout.sockets} belongs to somebody else; remove it, or name a shorter --folder")


def chosen(only: str) -> tuple[str, ...]:
    """The programs of a list with commas, in the order of starting; `mariadb` means its three nodes."""
    named = {name.strip() for name in only.split(",") if name.strip()}
    if "mariadb" in named:
        named = named - {"mariadb"} | set(NODES)
    unknown = sorted(named - set(KNOWN))
    if unknown or not named:
        raise CannotStart(f"no program is called {', '.join(unknown) or only!r}; there are mariadb, {', '.join(KNOWN)}")
    if named & set(NODES[1:]) and "primary" not in named:
        raise CannotStart("a replica needs the primary")
    if "miner" in named and "bitcoin" not in named:
        raise CannotStart("the miner needs bitcoin, whose blocks it mines")
    return _in_order(named)


def _in_order(named: set[str]) -> tuple[str, ...]:
    return tuple(name for name in KNOWN if name in named)


def taken(port: int) -> bool:
    """Whether somebody listens on this port of the loopback interface, or on all interfaces."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def taken_ports(layout: Layout) -> list[tuple[str, int]]:
    """The programs that could not listen, with the port each of them wants."""
    wanted = [(name, layout.port(name)) for name in PORTS if layout.has(name.removesuffix("-status"))]
    return [(name, port) for name, port in wanted if taken(port)]


def free_base(folder: Path) -> int:
    """The first port of a range that nobody uses now. Where it looks first depends on the folder, so that stacks that
    start at the same time do not choose the same."""
    ranges = list(_FREE_PORTS)
    start = zlib.crc32(str(folder).encode()) % len(ranges)
    for base in ranges[start:] + ranges[:start]:
        if not any(taken(base + offset) for offset in PORTS.values()):
            return base
    raise CannotStart(
        f"no free ports between {_FREE_PORTS[0]} and {_FREE_PORTS[-1] + WIDTH}; name some with --base-port"
    )
