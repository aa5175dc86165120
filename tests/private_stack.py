"""The servers of a test run with TEST_ON=stack: one private stack, started by the first process of the run and stopped
when that ends, however it ends. The workers of pytest-xdist find it in their environment."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
SERVERS = "primary,redis,sqs,smtp"
# Where the servers are. The rest of what a stack sets (its pace, its log format) is the embedded default in tests.
TAKEN = (
    "STAMPEDE_DATABASE_URL",
    "STAMPEDE_REDIS_URL",
    "STAMPEDE_BROKER",
    "STAMPEDE_SQS_ENDPOINT",
    "STAMPEDE_MAIL",
    "STAMPEDE_SMTP_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_EC2_METADATA_DISABLED",
)
_FOLDER = "TEST_STACK_FOLDER"  # from the first process to its workers
_ENVIRONMENT = "TEST_STACK_ENVIRONMENT"
_NAME = "stampede-test-stack-"
_MEMORY = Path("/dev/shm")
_ROOM = 2 * 1024**3  # bytes; a run leaves about half of one of these behind


def folder() -> Path | None:
    """The folder of the stack that the tests run on; None on the embedded default."""
    return Path(os.environ[_FOLDER]) if _FOLDER in os.environ else None


def variables(*, process: str) -> dict[str, str]:
    """The environment of one test process. `process` is xdist's name of it (gw0, gw1 ...), empty for the first one,
    which starts the stack."""
    if _FOLDER not in os.environ:
        _start()
    found = {name: value for name, value in json.loads(os.environ[_ENVIRONMENT]).items() if name in TAKEN}
    number = int(process.removeprefix("gw") or -1) + 1  # Redis has 16 databases, and says so when they are used up
    found["STAMPEDE_REDIS_URL"] = urlsplit(found["STAMPEDE_REDIS_URL"])._replace(path=f"/{number}").geturl()
    return {**found, "STAMPEDE_SQS_PREFIX": f"test-{process or 'first'}-"}


def new_database(name: str) -> str:
    """Make an empty database (its name begins with `test_`), for a program that a test starts. Returns its address."""
    import MySQLdb

    address = urlsplit(os.environ["STAMPEDE_DATABASE_URL"])
    account = {"host": address.hostname, "port": address.port, "user": address.username, "password": address.password}
    with closing(MySQLdb.connect(**account)) as connection:
        connection.query(f"CREATE OR REPLACE DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    return address._replace(path=f"/{name}").geturl()


def _start() -> None:
    here = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM else None
    _stop_orphans(here or Path(tempfile.gettempdir()))
    place = tempfile.mkdtemp(prefix=f"{_NAME}{os.getpid()}-", dir=here)
    atexit.register(_stop, place)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # else nothing is tidied up
    _stack(place, "up", "--only", SERVERS, "--base-port", "0", "--relaxed")
    os.environ[_ENVIRONMENT] = _stack(place, "environment", "--json")
    os.environ[_FOLDER] = place


def _stop_orphans(parent: Path) -> None:
    """A run that was killed could not stop its servers; the next one does. A folder's name says whose it is."""
    for left in parent.glob(f"{_NAME}*-*"):
        starter = left.name.removeprefix(_NAME).partition("-")[0]
        if not Path("/proc", starter).exists():
            with suppress(SystemExit):  # another run is doing it
                _stop(str(left))


def _stop(place: str) -> None:
    # In a session of its own: a second Ctrl-C must not stop the stopping.
    if (Path(place) / "stack.json").exists():
        _stack(place, "down", new_session=True)
    shutil.rmtree(place, ignore_errors=True)


def _stack(place: str, action: str, *options: str, new_session: bool = False) -> str:
    command = [sys.executable, "manage.py", "stack", action, "--folder", place, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, start_new_session=new_session)
    if done.returncode:
        sys.exit(f"TEST_ON=stack: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
