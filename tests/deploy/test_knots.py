"""The development node for Bitcoin: where it cannot be had, that is said in one line, and nothing is left half done.

The real apt is used, with a mirror of the test's own in the place of this machine's.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from config.serving import free_port
from deploy.local import knots, sid
from tests.absent import absent
from tests.served import served

pytestmark = pytest.mark.process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it would be unpacked; not there yet."""
    there = tmp_path / "cache" / ".unpacked"
    monkeypatch.setattr(knots, "FOLDER", there)
    return there


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a mirror that this machine's apt is set to; empty."""
    root = tmp_path / "mirror"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(root)))
    with served(server):
        use_mirror(tmp_path, monkeypatch, port=server.server_address[1])
        yield root


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def use_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, port: int) -> None:
    if not shutil.which("apt-get"):
        absent("apt is not on this machine")
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    (tmp_path / "sources.list").write_text(f"deb http://127.0.0.1:{port}/debian {release} main\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        'Acquire::http::Proxy "DIRECT";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))


def refused(folder: Path) -> str:
    """Why it could not be fetched; nothing else than this reason was left."""
    said: list[str] = []
    reason = knots.install(said.append)
    assert reason is not None
    assert reason == knots.why_not()
    assert "\n" not in reason
    assert reason in "".join(said)
    assert [path.name for path in folder.parent.iterdir()] == [".unpacked.missing"]
    assert _children() == []
    return reason


def _children() -> list[str]:
    running = psutil.Process().children(recursive=True)
    return [name for child in running if (name := child.name()) in ("apt-get", "http", "dpkg-deb")]


def test_before_anything_was_tried_it_says_how_to_get_it(folder: Path) -> None:
    reason = knots.why_not()
    assert reason is not None
    assert "python -m deploy.local.knots" in reason


def test_without_a_network_it_says_so(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_mirror(tmp_path, monkeypatch, port=free_port())
    assert "Connection refused" in refused(folder)


def test_a_failure_is_believed_for_an_hour_unless_somebody_types_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mirror(tmp_path, monkeypatch, port=free_port())
    reason = refused(folder)
    said: list[str] = []
    assert knots.install(said.append) == reason
    assert said == []  # nothing was tried
    assert knots.install(said.append, again=True) == reason
    assert said
    long_ago = time.time() - knots.REASON_SECONDS - 1
    os.utime(knots._reason_file(), (long_ago, long_ago))
    said.clear()
    assert knots.install(said.append) == reason
    assert said


def test_a_mirror_without_sid_is_named(folder: Path, mirror: Path) -> None:
    assert "sid" in refused(folder)


def test_a_mirror_that_nobody_signed_is_not_believed(folder: Path, mirror: Path) -> None:
    lists = mirror / "debian/dists/sid/main" / f"binary-{_architecture()}"
    lists.mkdir(parents=True)
    (lists / "Packages").write_text(
        "Package: bitcoin-knots\nVersion: 1\nArchitecture: all\nFilename: evil.deb\nSize: 1\n"
    )
    (mirror / "debian/dists/sid/Release").write_text("Suite: sid\nCodename: sid\nComponents: main\n")
    assert "not signed" in refused(folder)


def test_a_mirror_that_hangs_is_waited_for_so_long_and_nothing_goes_on_in_the_background(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        use_mirror(tmp_path, monkeypatch, port=silent.getsockname()[1])
        monkeypatch.setattr(knots, "PATIENCE_SECONDS", 3)
        assert "took too long" in refused(folder)


def test_on_a_machine_without_apt_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "this machine has no apt-" in refused(folder)


def test_on_another_system_than_debian_it_says_so(
    folder: Path, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sources.list").write_text("")
    assert "no mirror of Debian" in refused(folder)


def test_where_nothing_can_be_written_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knots, "FOLDER", Path("/proc/nowhere/.unpacked"))
    said: list[str] = []
    assert knots.install(said.append) is not None
    assert "/proc/nowhere" in "".join(said)


def test_what_does_not_run_is_not_put_in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a library has moved to a package that is not named."""

    def half(package: str, draft: Path, *, deadline: float) -> None:
        loader = knots._loader(draft / "root")
        loader.parent.mkdir(parents=True)
        shutil.copy("/bin/false", loader)

    monkeypatch.setattr(sid, "unpack", half)
    assert "ended with 1" in refused(folder)


def test_a_fetch_that_was_killed_is_not_taken_for_an_installed_one(folder: Path) -> None:
    """It leaves its draft, whole or not, under another name."""
    with knots._draft() as draft:
        loader = knots._loader(draft / "root")
        loader.parent.mkdir(parents=True)
        loader.touch()
        assert knots.why_not() is not None
        knots._put_in_place(draft)  # the negative control: only this makes it one
        assert knots.why_not() is None
    assert knots._loader().exists()


def test_who_comes_second_keeps_what_the_first_put_there(folder: Path) -> None:
    for content in ("first", "second"):
        with knots._draft() as draft:
            loader = knots._loader(draft / "root")
            loader.parent.mkdir(parents=True)
            loader.write_text(content)
            knots._put_in_place(draft)
    assert knots._loader().read_text() == "first"
    assert [path.name for path in folder.parent.iterdir()] == [".unpacked"]


def test_what_is_there_is_not_fetched_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    knots._loader().parent.mkdir(parents=True)
    knots._loader().touch()
    monkeypatch.setenv("PATH", "/nowhere")  # whatever it would do, it could not
    said: list[str] = []
    assert knots.install(said.append) is None
    assert said == []


def test_the_password_is_not_in_the_command(tmp_path: Path) -> None:
    command = knots.command(tmp_path, rpc_port=1, user="stampede", password="a secret")
    assert not [word for word in command if "a secret" in word]
    assert [word for word in command if word.startswith("-rpcauth=stampede:")]


def test_the_command_that_make_test_uses_never_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_mirror(tmp_path, monkeypatch, port=free_port())
    environment = {**os.environ, "KNOTS_FOLDER": str(folder)}
    command = [sys.executable, "-m", "deploy.local.knots"]
    for _ in range(2):  # whoever types it wants it tried
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "could not be fetched" in done.stdout


def _architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()
