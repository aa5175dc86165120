"""Packages of Debian sid, unpacked into a folder with the libraries that they need: nothing is installed, no root is
needed. apt itself fetches and checks them, with sources, lists and cache of its own below the folder, from the mirror
and by the keys of this machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from deploy.local import sessions

_KEYS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")
_NAMES_ONLY = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
# The machine's own settings are read first (its proxy, its way to check a mirror); these make all the rest private.
_PRIVATE = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "{folder}/none";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "{folder}/none";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "{folder}/none";
Dir::State "{folder}/state";
Dir::State::lists "{folder}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
APT::Sandbox::User "{user}";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
"""


class CannotFetch(Exception):
    """The packages cannot be had; the message says why, in one line."""


def unpack(package: str, draft: Path, *, deadline: float) -> None:
    """Into `draft`/root; the rest of `draft` is not needed any more. The deadline is one of `time.monotonic()`. Raises
    `CannotFetch`."""
    apt = _apt(draft, deadline)
    apt("apt-get", "-qq", "update")
    (draft / "root").mkdir()
    (draft / "packages").mkdir()
    apt("apt-get", "-qq", "download", *_with_libraries(package, apt))
    for file in sorted((draft / "packages").glob("*.deb")):
        run(["dpkg-deb", "-x", str(file), str(draft / "root")], deadline=deadline)


def _with_libraries(package: str, apt: Callable[..., str]) -> list[str]:
    """The package and the libraries below it. Not debconf and systemd, which are there to install it as a service."""
    only = [f"--no-{kind}" for kind in _NAMES_ONLY]
    found, asked = {package}, {package}
    while asked:
        lines = apt("apt-cache", "depends", *only, *sorted(asked)).splitlines()
        named = {line.split("Depends: ")[1] for line in lines if "Depends: " in line}
        asked = {name for name in named if name.startswith("lib")} - found
        found |= asked
    return sorted(found)


def _apt(draft: Path, deadline: float) -> Callable[..., str]:
    """apt with sources, lists and cache of its own below `draft`, and this machine's mirror and keys."""
    for name in ("none", "state", "lists/partial", "cache/archives/partial", "log"):
        (draft / name).mkdir(parents=True)
    machine = run(["apt-config", "dump"], deadline=deadline).splitlines()
    own = [line for line in machine if line.startswith("Acquire::") and "::Languages" not in line]
    (draft / "sources.list").write_text(_source(deadline))
    user = "root" if os.geteuid() == 0 else ""  # apt's own user may not write below this folder
    (draft / "apt.conf").write_text("\n".join([*own, _PRIVATE.format(folder=draft, user=user)]))

    def apt(*arguments: str) -> str:
        environment = {**os.environ, "APT_CONFIG": str(draft / "apt.conf"), "LC_ALL": "C"}
        folder = draft / "packages"
        return run(list(arguments), deadline=deadline, env=environment, cwd=folder if folder.exists() else draft)

    return apt


def _source(deadline: float) -> str:
    """sid, from the mirror that this machine's own release comes from, which need not have been asked for it yet."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    addresses = run(["apt-get", "update", "--print-uris"], deadline=deadline)
    mirror = re.search(rf"'(\S+?)/dists/{re.escape(codename)}/InRelease'", addresses)
    if not codename or mirror is None:
        raise CannotFetch(f"apt on this machine has no mirror of Debian {codename or '(unknown release)'}")
    signed = next((f"[signed-by={keys}] " for keys in _KEYS if Path(keys).exists()), "")
    return f"deb {signed}{mirror[1]} sid main\n"


def run(arguments: list[str], *, deadline: float, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What it prints. In a session of its own, so that nothing which it started outlives the deadline."""
    try:
        process = subprocess.Popen(  # noqa: S603 (apt and dpkg, with our own arguments)
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=env,
            cwd=cwd,
        )
    except FileNotFoundError:
        raise CannotFetch(f"this machine has no {arguments[0]}") from None
    try:
        output, errors = sessions.ended(process, deadline=deadline)
    except subprocess.TimeoutExpired:
        raise CannotFetch(f"{arguments[0]} took too long") from None
    if process.returncode:
        # What it is first: the paths in a command may be long, and the reason is cut.
        said = f": {errors.strip()[-250:]}" if errors.strip() else ""
        raise CannotFetch(f"a program ended with {process.returncode}{said} ({' '.join(arguments[:3])})")
    return output
