"""The configuration that supervisor reads, as supervisor's own parser reads it."""

from __future__ import annotations

import resource
import shlex
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from config import supervising
from config.supervising import Program


def parsed(text: str, folder: Path) -> ServerOptions:
    path = folder / "supervisor.conf"
    path.write_text(text)
    options = ServerOptions()
    options.realize(["-c", str(path)])
    return options


def test_commands_arrive_word_by_word(tmp_path: Path) -> None:
    words = ["/bin/echo", "50 %", "it's", "--a=b; c", "%(here)s"]
    text = supervising.configuration([Program("one", words)], logs=tmp_path, pidfile=tmp_path / "pid")
    group = parsed(text, tmp_path).process_group_configs[0]
    (process,) = group.process_configs
    assert shlex.split(process.command) == words
    assert (process.autostart, process.stopwaitsecs, process.stopsignal) == (True, 30, 15)
    assert process.stdout_logfile == str(tmp_path / "one.log")


def test_a_group_is_stopped_together_and_the_highest_rank_first(tmp_path: Path) -> None:
    programs = [
        Program("front", ["/bin/cat"], group="edge", rank=300),
        Program("base", ["/bin/cat"], group="servers", rank=100, autostart=False, stop_signal="QUIT", stop_seconds=7),
        Program("other", ["/bin/cat"], group="servers", rank=100),
    ]
    text = supervising.configuration(programs, logs=tmp_path, pidfile=tmp_path / "pid", socket=tmp_path / "s")
    groups = {group.name: group for group in parsed(text, tmp_path).process_group_configs}
    assert {name: group.priority for name, group in groups.items()} == {"edge": 300, "servers": 100}
    base, other = groups["servers"].process_configs
    assert (base.name, base.autostart, base.stopsignal, base.stopwaitsecs) == ("base", False, 3, 7)
    assert (other.name, other.autostart) == ("other", True)
    assert [program.full_name for program in programs] == ["edge:front", "servers:base", "servers:other"]


def test_only_who_started_it_can_tell_it_anything(tmp_path: Path) -> None:
    told = supervising.configuration([], logs=tmp_path, pidfile=tmp_path / "pid", socket=tmp_path / "s")
    (server,) = parsed(told, tmp_path).server_configs
    assert (server["file"], server["chmod"]) == (str(tmp_path / "s"), 0o700)
    untold = supervising.configuration([], logs=tmp_path, pidfile=tmp_path / "pid")
    assert parsed(untold, tmp_path).server_configs == []


def test_no_more_descriptors_are_asked_for_than_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(hard: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda limit: (256, hard))
        text = supervising.configuration([], logs=tmp_path, pidfile=tmp_path / "pid")
        return int(parsed(text, tmp_path).minfds)

    assert asked(1_000) == 1_000
    assert asked(1_000_000) == asked(resource.RLIM_INFINITY) == 20_000
