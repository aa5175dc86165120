"""What a run was made with: the laboratory's machine, commit, settings and versions. A target is a stranger, of which
this says nothing; where both were started from one tree and one shell it is the same. No host name, no value of a
setting: records and reports are shown around."""

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

# Secrets say nothing of how a target behaves, nor does where its data lies.
_LEFT_OUT = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|_DATA$")
_CREDENTIALS = re.compile(r"//[^/@\s]*@")


def environment() -> dict[str, Any]:
    named = _settings(os.environ)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "host": host(),
        "laboratory_commit": commit(),
        "laboratory_settings": sorted(named),
        "laboratory_settings_hash": settings_hash(os.environ),
        **{name: version(name) for name in ("locust", "gevent", "httptools", "django")},
    }


def host() -> str:
    """The same for the same machine; says nothing of its name: of its processor, memory and the machine's own id."""
    parts = [platform.machine(), processor(), str(os.cpu_count()), str(psutil.virtual_memory().total), _machine_id()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def settings_hash(environ: Mapping[str, str]) -> str:
    """The same for the same settings of the application in the environment, credentials left out."""
    named = _settings(environ)
    return hashlib.sha256(repr(sorted(named.items())).encode()).hexdigest()[:12]


def commit() -> str:
    """The commit, marked when the tree differs from it; "unknown" outside a repository."""
    here = Path(__file__).parent
    try:
        ask = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        return subprocess.run(ask, cwd=here, capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _settings(environ: Mapping[str, str]) -> dict[str, str]:
    ours = {name: value for name, value in environ.items() if name.startswith("STAMPEDE_")}
    return {name: _CREDENTIALS.sub("//", value) for name, value in ours.items() if not _LEFT_OUT.search(name)}


def processor() -> str:
    """As it calls itself; "" where it does not."""
    lines = _text("/proc/cpuinfo").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _machine_id() -> str:
    return _text("/etc/machine-id").strip()


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
