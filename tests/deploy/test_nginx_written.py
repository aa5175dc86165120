"""The files for a server: what nginx takes, and what it never gets to see."""

from __future__ import annotations

import os
import pwd
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from django.http.request import validate_host

from config import settings, supervising
from deploy import nginx
from tests.deploy.edge import ask, edge, origin
from tests.deploy.web import ROOT


def test_values_stay_in_their_directives(tmp_path: Path) -> None:
    usual = {"listen": "127.0.0.1:80", "upstream": "127.0.0.1:81", "internal": "127.0.0.1:82", "static_root": tmp_path}
    for wrong in (
        {"listen": "80; user root"},
        {"logs": tmp_path / "two words"},
        {"hosts": ("a;b",)},
        {"hosts": ()},
        {"behind": ("10.0.0.0/8; deny all",)},
        {"user": "a b{"},
    ):
        with pytest.raises(nginx.CannotWrite):
            nginx.write(tmp_path / "conf", **{**usual, **wrong})
    assert not (tmp_path / "conf" / "nginx.conf").exists()


def test_nginx_takes_what_is_written_for_a_server(tmp_path: Path) -> None:
    conf = nginx.write(
        tmp_path / "edge",
        listen="0.0.0.0:8080",
        upstream="10.0.0.5:8000",
        internal="127.0.0.1:8081",
        static_root=tmp_path,
        hosts=("sale.example.org", "*.example.org"),
        behind=("10.0.0.0/16", "2001:db8::/32"),
        internal_networks=("10.0.0.0/16",),
        limits=nginx.Limits(),
        logs=tmp_path / "logs",
    )
    looked = subprocess.run(nginx.command(conf, "-t"), capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stderr
    assert "warn" not in looked.stderr


@pytest.mark.parametrize(
    ("hosts", "asked", "status", "told"),
    [
        (("127.0.0.1", "sale.example.org"), "sale.example.org", 200, "127.0.0.1"),
        (("127.0.0.1", "sale.example.org"), "example.org", 421, "127.0.0.1"),
        ((".example.org",), "sale.example.org", 200, "example.org"),
        ((".example.org",), "example.org", 200, "example.org"),
        ((".example.org",), "example.com", 421, "example.org"),
        (("*",), "whatever.example", 200, "localhost"),
    ],
)
def test_names_are_those_that_django_answers(
    tmp_path: Path, hosts: tuple[str, ...], asked: str, status: int, told: str
) -> None:
    with origin() as behind, edge(tmp_path, upstream=behind.port, hosts=hosts) as public:
        assert public.ask("/x", Host=asked).status == status
        assert validate_host(asked, list(hosts)) is (status == 200)
        # where nginx has no name to pass on, it says one that the application takes
        assert ask(public.internal, "/metrics").status == 200
        assert behind.asked[-1].headers["Host"] == told
        assert validate_host(told, list(hosts))


def test_workers_run_as_who_starts_it_whatever_the_shell_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    monkeypatch.setattr(nginx, "_as_root", lambda user: True)
    usual = {"listen": "127.0.0.1:80", "upstream": "127.0.0.1:81", "internal": "127.0.0.1:82", "static_root": tmp_path}
    conf = nginx.write(tmp_path / "conf", **usual)  # type: ignore[arg-type]
    assert f"\nuser {pwd.getpwuid(os.geteuid()).pw_name};\n" in conf.read_text()


def test_the_command_writes_what_it_prints_how_to_start(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.nginx", str(tmp_path / "edge"), "--listen", "127.0.0.1:8080"]
    command += ["--internal", "127.0.0.1:8081", "--upstream", "127.0.0.1:8000", "--static-root", str(tmp_path)]
    command += ["--host", "sale.example.org", "--behind", "10.0.0.0/16", "--behind", "10.1.0.0/16", "--burst", "7"]
    wrote = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert subprocess.run([*wrote.stdout.split(), "-t"], capture_output=True, check=False).returncode == 0
    conf = (tmp_path / "edge" / "nginx.conf").read_text()
    for line in ("server_name sale.example.org;", "set_real_ip_from 10.1.0.0/16;", "burst=7 nodelay;"):
        assert line in conf
    refused = subprocess.run([*command, "--user", "a;b"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "'a;b'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_who_waits_for_somebody_waits_longer_than_he_does() -> None:
    """And docs/operations.md says how long."""
    said = " ".join((ROOT / "docs" / "operations.md").read_text().split("Time-outs in order:")[1].split()[:60])
    edge = int(re.findall(r"proxy_read_timeout (\d+)s;", (nginx.TEMPLATES / "nginx.conf").read_text())[0])
    replica, primary = settings._READS["read_timeout"], settings._OPTIONS["read_timeout"]
    sqlite = settings._SQLITE["OPTIONS"]["timeout"]  # type: ignore[index]
    assert replica < primary < sqlite < edge  # type: ignore[operator]
    assert (
        f"a replica {replica} and the primary {primary} (SQLite {sqlite}) < nginx waiting for an answer {edge}" in said
    )
    graceful = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))["graceful_timeout"]
    stopping = next(program.stop_seconds for program in supervising.application() if program.name == "web")
    assert graceful < stopping
    assert f"graceful stop {graceful} < what stops it {stopping} " in said
