"""A venv with django-oscar and nothing of ours, made the first time and kept in the data folder."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from bench.side_by_side import ROOT

PINNED = ROOT / "bench" / "oscar_shop" / "requirements.txt"


def python() -> Path:
    """Its Python. Another list of requirements makes another venv; one that was half made is made again."""
    data = Path(os.environ.get("STAMPEDE_DATA", ROOT / "var" / "data"))
    folder = data / "bench" / f"oscar-{hashlib.sha256(PINNED.read_bytes()).hexdigest()[:12]}"
    found, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        print(f"django-oscar is installed into {folder}, which takes a minute", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(found), "-m", "pip", "install", "--quiet", "--require-hashes"]
        subprocess.run([*pip, "-r", str(PINNED)], check=True)
        complete.touch()
    return found
