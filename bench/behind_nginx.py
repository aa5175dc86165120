"""The product's nginx in front of one of its web servers, in a folder of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from bench.side_by_side import START_SECONDS
from config.serving import free_port
from deploy import nginx


@contextmanager
def edge(folder: Path, *, upstream: str, static: Path, cached: bool = True) -> Iterator[str]:
    """Yields the URL of nginx in front of `upstream` (host:port). Not `cached`: public pages are made each time."""
    port = free_port()
    conf = nginx.write(
        folder,
        listen=f"127.0.0.1:{port}",
        internal=f"127.0.0.1:{free_port()}",
        upstream=upstream,
        static_root=static,
    )
    if not cached:
        (folder / "cached.conf").write_text("")
    process = subprocess.Popen(nginx.command(conf), start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(process, f"{url}/healthz")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit("nginx did not start")
