"""Starting and stopping: one application a folder, clear words when it cannot start, nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from tests.deadline import until
from tests.process.conftest import ROOT, Served, alive

pytestmark = pytest.mark.process


def serve(data: Path, port: int, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "serve", "--port", str(port)]
    variables = {**os.environ, "STAMPEDE_DATA": str(data), **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_a_second_one_in_the_same_folder_is_refused(served: Served) -> None:
    refused = serve(served.data, served.port + 1)
    assert refused.returncode != 0
    assert "already" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_port_that_is_taken_is_named_before_anything_is_made(served: Served, tmp_path: Path) -> None:
    refused = serve(tmp_path / "other", served.port)
    assert str(served.port) in refused.stderr
    assert not (tmp_path / "other" / "stampede.sqlite3").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STAMPEDE_POLL_SECONDS", "abc"),
        ("STAMPEDE_WEB_WORKERS", "many"),
        ("STAMPEDE_TRUSTED_PROXIES", "garbage"),
        ("STAMPEDE_BTC_NETWORK", "foo"),
        ("STAMPEDE_BTC_XPUB", "garbage"),
        ("STAMPEDE_SECRET_KEY", "short"),
        ("STAMPEDE_DATA", "/dev/null/x"),
    ],
)
def test_a_wrong_setting_is_named_in_a_line_and_not_in_a_traceback(tmp_path: Path, variable: str, value: str) -> None:
    refused = serve(tmp_path, 8399, **{variable: value})
    assert refused.returncode != 0
    assert variable in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "stampede.sqlite3").exists()


def test_the_shop_s_pictures_come_while_it_runs(served: Served) -> None:
    with urlopen(f"{served.url}/shop/", timeout=30) as answer:
        (path, *_) = re.findall(r'src="(/media/[^"]+)"', answer.read().decode())
    until(lambda: _is_there(served.url + path), "the first picture of the shop")


def _is_there(url: str) -> bool:
    try:
        with urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except HTTPError as error:
        if error.code != 404:
            raise
        return False


def test_a_closed_terminal_leaves_nothing_behind(served: Served) -> None:
    """The last test of this file: it ends the application."""
    left = psutil.Process(served.process.pid).children(recursive=True)
    assert len(left) >= 6
    os.kill(served.process.pid, signal.SIGHUP)
    served.process.wait(60)
    until(lambda: not any(alive(one) for one in left), "everything has stopped")
