"""What a stack is made of, and what it says when it cannot start: nothing here starts a server."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from config import env
from deploy.local import environment, layout, mariadb, programs, redis, stack
from deploy.local.layout import CannotStart, Layout


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    found = Layout(tmp_path / "stack", base_port=9950)
    layout.make_folders(found)
    return found


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        yield somebody.getsockname()[1]


def options(text: str) -> dict[str, str | None]:
    parser = ConfigParser(allow_no_value=True, interpolation=None)
    parser.read_string(text)
    return dict(parser["mariadbd"])


def test_the_primary_keeps_what_it_acknowledged_unless_told_otherwise(place: Layout, tmp_path: Path) -> None:
    durable = options(mariadb.options(place, "primary"))
    assert (durable["innodb-flush-log-at-trx-commit"], durable["sync-binlog"]) == ("1", "1")
    relaxed = options(mariadb.options(Layout(tmp_path, relaxed=True), "primary"))
    assert (relaxed["innodb-flush-log-at-trx-commit"], relaxed["sync-binlog"]) == ("2", "0")


def test_only_replicas_are_read_only_and_all_have_ids_ports_and_folders_of_their_own(place: Layout) -> None:
    found = {node: options(mariadb.options(place, node)) for node in layout.NODES}
    assert {node: "read-only" in one for node, one in found.items()} == {
        "primary": False,
        "replica1": True,
        "replica2": True,
    }
    for key in ("server-id", "port", "socket", "datadir", "pid-file"):
        assert len({one[key] for one in found.values()}) == 3


def test_every_server_listens_on_loopback_only(place: Layout) -> None:
    redis.write(place)
    assert options(mariadb.options(place, "primary"))["bind-address"] == "127.0.0.1"
    assert "bind 127.0.0.1\n" in (place.conf / "redis.conf").read_text()


def test_the_names_that_up_takes() -> None:
    assert layout.chosen("smtp, mariadb") == ("primary", "replica1", "replica2", "smtp")
    assert layout.chosen("redis,primary") == ("primary", "redis")
    with pytest.raises(CannotStart, match="no program is called 'postgres'; there are mariadb, primary"):
        layout.chosen("redis,postgres")
    with pytest.raises(CannotStart, match="a replica needs the primary"):
        layout.chosen("replica1")
    with pytest.raises(CannotStart, match="no program is called ''"):
        layout.chosen("")


def test_no_two_programs_want_the_same_port() -> None:
    assert len(set(layout.PORTS.values())) == len(layout.PORTS)
    assert max(layout.PORTS.values()) < layout.WIDTH


def test_a_taken_port_is_named_with_the_program_that_wants_it_before_anything_starts(
    tmp_path: Path, listening: int
) -> None:
    base = listening - layout.PORTS["redis"]
    wanted = Layout(tmp_path / "stack", base_port=base, programs=("redis",))
    with pytest.raises(CannotStart, match=f"listens on {listening} \\(for redis\\).* --base-port"):
        stack.up(wanted, print)
    assert not layout.is_stack(wanted.folder)
    assert not wanted.socket("supervisor").exists()
    # ... and only then
    assert layout.taken_ports(Layout(tmp_path, base_port=base, programs=("sqs",))) == []


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("STAMPEDE_BTC_XPUB", "bad", "E001.*STAMPEDE_BTC_XPUB"),
        ("STAMPEDE_POLL_SECONDS", "soon", "STAMPEDE_POLL_SECONDS must"),
    ],
)
def test_settings_that_cannot_be_used_are_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    wanted = Layout(tmp_path / "stack", base_port=layout.free_base(tmp_path), programs=("web",))
    with pytest.raises(CannotStart, match=f"(?s)settings do not fit.*{said}"):
        stack.up(wanted, print)
    assert not wanted.log("supervisor").exists()


def test_free_ports_are_free(tmp_path: Path) -> None:
    base = layout.free_base(tmp_path)
    assert layout.free_base(tmp_path) == base
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", base + layout.PORTS["sqs"]))
        somebody.listen()
        assert layout.free_base(tmp_path) != base


def test_a_port_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for port in (-1, 65_500):
        with pytest.raises(CannotStart, match="cannot be the first of 50 ports"):
            layout.asked(tmp_path, only="redis", base_port=port, relaxed=False)


def test_ports_and_passwords_stay_what_they_were(tmp_path: Path) -> None:
    first = layout.asked(tmp_path, only="redis", base_port=9000, relaxed=True)
    first.save()
    again = layout.asked(tmp_path, only=None, base_port=None, relaxed=False)
    assert (again.base_port, again.password) == (9000, first.password)
    assert (again.programs, again.relaxed) == (layout.PROGRAMS, False)
    assert Layout(tmp_path).password != first.password


def test_files_with_passwords_are_for_their_owner_only(place: Layout) -> None:
    place.save()
    environment.write(place)
    modes = {name: (place.folder / name).stat().st_mode & 0o777 for name in ("stack.json", "environment.json")}
    assert modes == {"stack.json": 0o600, "environment.json": 0o600}
    assert place.password not in repr(place)


def test_a_socket_has_a_path_that_a_socket_can_have(tmp_path: Path) -> None:
    near = Layout(Path("/srv/stack"))
    assert near.sockets == Path("/srv/stack/run")
    far = Layout(tmp_path / ("deep/" * 20), base_port=9950)
    layout.make_folders(far)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            with pytest.raises(OSError, match="too long"):
                probe.bind(str(far.folder / "run" / "replica1.sock"))
            probe.bind(str(far.socket("replica1")))
        assert far.sockets.stat().st_mode & 0o777 == 0o700
    finally:
        far.socket("replica1").unlink()
        far.sockets.rmdir()


def test_the_application_is_told_of_what_the_stack_has(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment.variables(place)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    assert [one["PORT"] for one in env.databases("STAMPEDE_DATABASE_URL")] == [9960]
    assert [one["PORT"] for one in env.databases("STAMPEDE_REPLICA_URLS")] == [9961, 9962]
    assert urlsplit(found["STAMPEDE_REDIS_URL"]).port == 9970
    assert (found["STAMPEDE_BROKER"], found["STAMPEDE_MAIL"]) == ("sqs", "smtp")
    assert found["STAMPEDE_PUBLIC_URL"] == "http://127.0.0.1:9950"
    assert found["STAMPEDE_BIND"] == "127.0.0.1:9951"
    assert found["STAMPEDE_TRUSTED_PROXIES"] == "127.0.0.1"


def test_the_application_is_told_of_nothing_that_the_stack_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAMPEDE_MAIL", "smtp")
    monkeypatch.setenv("STAMPEDE_SMTP_URL", "smtp://mail.example.org")  # nor of what the shell has
    found = environment.variables(Layout(tmp_path, programs=("redis",)))
    connected = {name for name in found if name.endswith(("_URL", "_URLS", "_ENDPOINT")) or name.startswith("AWS_")}
    assert connected == {"STAMPEDE_REDIS_URL"}
    assert "STAMPEDE_MAIL" not in found


def test_the_shell_decides_pace_and_rules_but_no_addresses(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_SIGNUPS_PER_MINUTE", "7")
    monkeypatch.setenv("STAMPEDE_REDIS_URL", "redis://elsewhere:1/0")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody's real account")
    found = environment.variables(place)
    assert found["STAMPEDE_SIGNUPS_PER_MINUTE"] == "7"
    assert "elsewhere" not in found["STAMPEDE_REDIS_URL"]
    assert found["AWS_ACCESS_KEY_ID"] == "stack"


def test_a_stack_that_never_was_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="there is no stack in"):
        layout.load(tmp_path)
    with pytest.raises(CannotStart, match="there is no stack in"):
        environment.read(tmp_path)


def test_supervisor_stops_what_is_in_front_first(place: Layout) -> None:
    ranks = {program.name: program.rank for program in programs.programs(place)}
    assert set(ranks) == set(layout.PROGRAMS)
    assert ranks["nginx"] > ranks["web"] == ranks["worker"] > ranks["primary"] == ranks["sqs"]


def test_nginx_answers_the_names_that_the_application_answers(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    place = replace(place, programs=("web", "nginx"))

    def names() -> str:
        programs.write(place)
        return (place.folder / "nginx" / "nginx.conf").read_text()

    monkeypatch.delenv("STAMPEDE_ALLOWED_HOSTS", raising=False)
    assert "server_name localhost 127.0.0.1 [::1];" in names()
    monkeypatch.setenv("STAMPEDE_ALLOWED_HOSTS", "127.0.0.1, sale.example.org")
    assert environment.variables(place)["STAMPEDE_ALLOWED_HOSTS"] == "127.0.0.1, sale.example.org"
    assert "server_name 127.0.0.1 sale.example.org;" in names()
    for wrong in ("a;b", ""):
        monkeypatch.setenv("STAMPEDE_ALLOWED_HOSTS", wrong)
        with pytest.raises(CannotStart, match="STAMPEDE_ALLOWED_HOSTS"):
            names()


def test_the_administrator_is_who_runs_it_whatever_the_shell_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = Layout(tmp_path / ("deep/" * 20))
    named = pwd.getpwuid(os.geteuid()).pw_name
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    assert layout.user() == named
    assert f"/stampede-{named}-" in str(far.sockets)
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 7)
    with pytest.raises(CannotStart, match="the user 2147483641 has no name"):
        layout.user()
