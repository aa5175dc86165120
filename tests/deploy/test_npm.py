"""What comes from npm is what the lock files name, installed once, with no package's own scripts run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from config.supervising import BASE
from deploy.local import anvil, npm, sqs
from deploy.local.layout import CannotStart, Layout
from tests.absent import absent
from tests.deadline import until

NPM = """#!/bin/sh
echo "$@" >> asked
echo "it went wrong" >&2
mkdir -p node_modules
{more}
exit {code}
"""
INSTALL = """\
import sys
from pathlib import Path
from deploy.local import npm
npm.install(Path(sys.argv[1]), what="it", log=Path(sys.argv[2]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "package"
    found.mkdir()
    (found / "package-lock.json").write_text("{}")
    return found


def put_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, code: int = 0, more: str = "") -> None:
    command = tmp_path / "bin" / "npm"
    command.parent.mkdir(exist_ok=True)
    command.write_text(NPM.format(code=code, more=more))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:/usr/bin:/bin")


def test_it_is_installed_once_for_each_lock_file(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm(tmp_path, monkeypatch, code=0)
    assert not npm.is_installed(folder)
    npm.install(folder, what="it", log=tmp_path / "logs" / "npm.log")
    assert npm.is_installed(folder)
    assert (folder / "asked").read_text().split()[:2] == ["ci", "--ignore-scripts"]
    (folder / "package-lock.json").write_text("{ }")
    assert not npm.is_installed(folder)


def test_a_failed_installation_leaves_no_mark(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm(tmp_path, monkeypatch, code=1)
    log = tmp_path / "npm.log"
    with pytest.raises(CannotStart, match=f"npm could not install it; {log} says why"):
        npm.install(folder, what="it", log=log)
    assert log.read_text() == "it went wrong\n"
    assert not npm.is_installed(folder)


def test_without_npm_it_says_so(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npm.shutil, "which", lambda name: str(tmp_path / "no-npm"))
    with pytest.raises(CannotStart, match="npm is needed to install it"):
        npm.install(folder, what="it", log=tmp_path / "npm.log")


def alive(pid_file: Path) -> bool:
    pid = int(pid_file.read_text())
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_who_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_npm(tmp_path, monkeypatch, more="sleep 600 & echo $! > child; wait")
    monkeypatch.setattr(npm, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(CannotStart, match="npm took too long to install it"):
        npm.install(folder, what="it", log=tmp_path / "npm.log")
    until(lambda: not alive(folder / "child"), "what npm started is gone")
    assert not npm.is_installed(folder)


def test_two_do_not_install_in_one_folder_at_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits, for a bounded time, and also for an npm whose beginner was killed."""
    put_npm(tmp_path, monkeypatch, more="echo $$ > pid; while [ ! -e go-on ]; do sleep 0.05; done")
    first = [sys.executable, "-c", INSTALL, str(folder), str(tmp_path / "npm.log")]
    with subprocess.Popen(first, cwd=BASE, env=os.environ) as beginner:
        until(lambda: (folder / "pid").exists(), "the first has begun")
        monkeypatch.setattr(npm, "PATIENCE_SECONDS", 0.3)
        for _ in range(2):
            with pytest.raises(CannotStart, match="somebody else has been installing it"):
                npm.install(folder, what="it", log=tmp_path / "npm.log")
            beginner.kill()
            beginner.wait()
    (folder / "go-on").touch()
    until(lambda: not alive(folder / "pid"), "npm has ended")
    monkeypatch.setattr(npm, "PATIENCE_SECONDS", 60.0)
    for _ in range(2):
        npm.install(folder, what="it", log=tmp_path / "npm.log")
    assert npm.is_installed(folder)
    assert len((folder / "asked").read_text().splitlines()) == 2, "the one that was left, and one more"


def here(module: object) -> None:
    """Skips the test where this is not installed."""
    if module is anvil and (reason := anvil.missing()):
        absent(reason)
    if module is sqs and not npm.is_installed(sqs.HERE):
        absent("the SQS server is not installed; type: manage.py stack install")


@pytest.mark.parametrize("module", [sqs, anvil])
def test_what_is_installed_is_not_installed_again(module: object, tmp_path: Path) -> None:
    here(module)
    module.install(Layout(tmp_path), pytest.fail)  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", [sqs, anvil])
def test_lock_files_name_digests_and_no_addresses(module: object) -> None:
    lock = json.loads((module.HERE / "package-lock.json").read_text())  # type: ignore[attr-defined]
    packages = [package for name, package in lock["packages"].items() if name]
    assert packages
    assert all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package or package.get("hasInstallScript") for package in packages)


def test_anvil_listens_where_no_other_machine_can_ask(tmp_path: Path) -> None:
    here(anvil)
    command = anvil.command(5, state=tmp_path / "chain.json", block_seconds=2)
    assert Path(command[0]).is_file()
    assert command[1:5] == ["--host", "127.0.0.1", "--port", "5"]
    assert command[command.index("--block-time") + 1] == "2"
    assert "--no-mining" not in command
    assert "--no-mining" in anvil.command(5)
    assert "--state" not in anvil.command(5)
