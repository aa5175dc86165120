"""What a stack needs on the machine: what is missing is installed by root, and named to everybody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.local import layout, packages
from deploy.local.layout import CannotStart, Layout


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    found = Layout(tmp_path / "stack", base_port=9950)
    layout.make_folders(found)
    return found


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no commands at all but those in the folder that this returns."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(packages, "_SERVERS_ARE_IN", str(folder))
    return folder


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_nothing_is_missing_on_this_machine(place: Layout) -> None:
    assert packages.missing(place) == []
    packages.ensure(place, pytest.fail)


def test_missing_packages_are_named_with_the_command(
    place: Layout, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    script(bare / "node", "exit 0")  # node without npm is not enough
    with pytest.raises(CannotStart) as refused:
        packages.ensure(place, pytest.fail)
    assert str(refused.value) == (
        "packages are missing; as root, type: apt-get install -y --no-install-recommends "
        "mariadb-server-core mariadb-client redis-server nodejs npm nginx-light"
    )


def test_only_what_the_chosen_programs_need_is_asked_for(tmp_path: Path, bare: Path) -> None:
    assert packages.missing(Layout(tmp_path, programs=("redis", "smtp"))) == ["redis-server"]
    script(bare / "redis-server", "exit 0")
    assert packages.missing(Layout(tmp_path, programs=("redis", "smtp"))) == []


def test_node_must_be_new_enough(tmp_path: Path, bare: Path) -> None:
    wanted = Layout(tmp_path, programs=("sqs",))
    script(bare / "npm", "exit 0")
    for version in ("v18.20.4", "v20.20.2", "v100.0.0"):
        script(bare / "node", f"echo {version}")
        packages.ensure(wanted, pytest.fail)
    for said in ("v16.20.2", "v9.0.0", ""):
        script(bare / "node", f"echo {said}")
        with pytest.raises(CannotStart, match=f"needs Node.js 18 or newer; {bare}/node --version says '{said}'"):
            packages.ensure(wanted, pytest.fail)
    packages.ensure(Layout(tmp_path, programs=()), pytest.fail)  # who has no SQS needs none


def test_root_installs_without_starting_the_services(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "_MAY_START_SERVICES", policy)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script(bare / "apt-get", f'echo "$@" >> {tmp_path}/asked; {policy} || echo "services: no" >> {tmp_path}/asked')
    said: list[str] = []
    packages.ensure(Layout(tmp_path, programs=("redis",)), said.append)
    assert said == ["Installing redis-server …"]
    assert (tmp_path / "asked").read_text().splitlines() == [
        "-qq update",
        "services: no",
        "-qq install -y --no-install-recommends redis-server",
        "services: no",
    ]
    assert not policy.exists()


def test_a_failed_installation_says_what_to_type(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "_MAY_START_SERVICES", tmp_path / "policy-rc.d")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    script(bare / "apt-get", "echo 'no such package' >&2; exit 100")
    with pytest.raises(CannotStart, match="no such package\nTry it by hand: apt-get install -y"):
        packages.ensure(Layout(tmp_path, programs=("redis",)), print)
    assert not (tmp_path / "policy-rc.d").exists()
