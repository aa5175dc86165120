"""A venv with django-oscar and nothing of ours, made the first time and kept in the data folder."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from bench.side_by_side import ROOT

PINNED = [ROOT / "bench" / "oscar_shop" / name for name in ("build.txt", "requirements.txt")]  # in this order


def python() -> Path:
    """Its Python. Another list of requirements makes another venv; one that was half made is made again."""
    data = Path(os.environ.get("STAMPEDE_DATA", ROOT / "var" / "data"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in PINNED)).hexdigest()
    folder = data / "bench" / f"oscar-{digest[:12]}"
    found, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        print(f"django-oscar is installed into {folder}, which takes a minute", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(found), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-build-isolation"]
        for path in PINNED:
            subprocess.run([*pip, "-r", str(path)], check=True)
        complete.touch()
    return found
