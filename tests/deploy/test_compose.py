"""compose.yaml says what the stack says: held against the code, since no Docker engine runs where the tests do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import supervising

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
APPLICATION = [program.name for program in supervising.application()]


def stages() -> set[str]:
    return set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))


def arguments(command: list[str]) -> list[str]:
    """A command without what differs between two machines: the interpreter and the folder of the code."""
    words = [word.removeprefix(f"{ROOT}/") for word in command]
    return words[words.index("-m") + 1 :] if "-m" in words else words[words.index("manage.py") :]


@pytest.mark.parametrize("program", supervising.application(), ids=APPLICATION)
def test_each_program_runs_as_supervisor_runs_it(program: supervising.Program) -> None:
    said = SERVICES[program.name].get("command") or json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[-1])
    assert [word for word in said if word != "python"] == arguments(program.command)


def test_there_is_everything_that_the_stack_has() -> None:
    assert set(SERVICES) == {
        *APPLICATION,
        "primary",
        "replica1",
        "replica2",
        "redis",
        "sqs",
        "smtp",
        "nginx",
        "prepare",
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_stands_on_what_is_there(name: str) -> None:
    service = SERVICES[name]
    assert ("build" in service) or re.fullmatch(r"\w+:\d[\w.]*", service["image"]), (
        "by its version, from where Docker is"
    )
    if "build" in service:
        assert service["build"]["target"] in stages()
        assert (ROOT / service["build"]["context"]).resolve() == ROOT
    for other, on in service.get("depends_on", {}).items():
        if on["condition"] == "service_healthy":
            asked = SERVICES[other].get("healthcheck", {})
            assert "test" in asked or ("HEALTHCHECK" in DOCKERFILE and not asked.get("disable")), other
        elif on["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "no"
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in COMPOSE["volumes"]


def test_every_variable_is_documented() -> None:
    documented = set(re.findall(r"^\| `(STAMPEDE_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE))
    for text in (SERVICES["web"]["environment"], dict.fromkeys(re.findall(r"\b(STAMPEDE_[A-Z]+)=", DOCKERFILE))):
        named = {name for name in text if name.startswith("STAMPEDE_")}
        assert named
        assert named <= documented


def test_addresses_name_services() -> None:
    environment = SERVICES["web"]["environment"]
    hosts = set(re.findall(r"(?:@|//)([a-z0-9]+):\d+", " ".join(filter(None, environment.values()))))
    assert hosts == {"primary", "replica1", "replica2", "redis", "sqs", "smtp"}
    assert "--upstream web:8000" in DOCKERFILE
    address = SERVICES["nginx"]["networks"]["inside"]["ipv4_address"]
    assert environment["STAMPEDE_TRUSTED_PROXIES"] == address


def test_a_node_is_the_one_that_the_shell_names_or_none() -> None:
    """A variable without a value is taken from the shell, and not set where the shell has none."""
    environment = SERVICES["web"]["environment"]
    taken = {name for name, value in environment.items() if value is None}
    settings = (ROOT / "config" / "settings.py").read_text()
    of_chains = set(re.findall(r'"(STAMPEDE_(?:BTC|ETH|NODE|ADDRESSES)_\w+)"', settings))
    assert {"STAMPEDE_ETH_FINALITY", "STAMPEDE_NODE_PATIENCE_SECONDS"} < of_chains
    paces = {"STAMPEDE_BTC_BLOCK_SECONDS", "STAMPEDE_ETH_BLOCK_SECONDS"}  # of what is simulated, as `stack up` has them
    assert taken == of_chains - paces
    assert SERVICES["follower"]["environment"] == environment


def test_a_miner_with_nothing_to_mine_stays_away() -> None:
    """It ends with 0 then (tests/ico/commands/test_simulated_chain.py)."""
    assert {name: SERVICES[name]["restart"] for name in APPLICATION} == {
        **dict.fromkeys(APPLICATION, "unless-stopped"),
        "chain": "on-failure",
    }


def test_nobody_is_given_the_address_that_nginx_has() -> None:
    (network,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    handed_out, whole = ip_network(network["ip_range"]), ip_network(network["subnet"])
    assert handed_out.subnet_of(whole)  # type: ignore[arg-type]
    assert handed_out.num_addresses > 2 * len(SERVICES)
    for fixed in (SERVICES["nginx"]["networks"]["inside"]["ipv4_address"], network["gateway"]):
        assert ip_address(fixed) in whole
        assert ip_address(fixed) not in handed_out


def test_who_counts_in_one_folder_has_a_name_of_its_own() -> None:
    """Docker gives each container one, unless it is told otherwise; `config/counting.py` needs it."""
    for name in APPLICATION:
        service = SERVICES[name]
        assert service["environment"]["PROMETHEUS_MULTIPROC_DIR"].startswith("/data/")
        assert "data:/data" in service["volumes"]
        assert not {"hostname", "uts", "network_mode"} & service.keys(), name


def test_a_second_up_leaves_what_running_programs_count_in() -> None:
    assert "rm " not in " ".join(SERVICES["prepare"]["command"])


def test_nginx_has_no_limits_where_all_visitors_are_one_address(tmp_path: Path) -> None:
    run = re.search(r"^RUN python (-m deploy\.nginx) /edge ((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE)
    assert run
    given = run[2].replace("\\\n", " ").split()
    # -S: the stage that does it has no packages
    command = [sys.executable, "-S", *run[1].split(), str(tmp_path), *given]
    subprocess.run(command, cwd=ROOT, check=True)
    conf = (tmp_path / "nginx.conf").read_text()
    assert "server web:8000 " in conf
    assert not re.search(r"^\s*limit_(req|conn) ", conf, re.MULTILINE)
    # ... and without being told so it has them
    subprocess.run(command[: command.index("--connections")], cwd=ROOT, check=True)
    assert re.search(r"^\s*limit_req ", (tmp_path / "nginx.conf").read_text(), re.MULTILINE)


def test_ports_are_for_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_servers_of_the_database_tell_themselves_apart() -> None:
    nodes = [SERVICES[name]["command"] for name in ("primary", "replica1", "replica2")]
    assert [[word for word in node if "server-id" in word] for node in nodes] == [
        [f"--server-id={n}"] for n in (1, 2, 3)
    ]
    assert ["--read-only" in node for node in nodes] == [False, True, True]
    assert {"--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1"} <= set(nodes[0])


def test_what_runs_is_no_administrator_and_has_no_compiler() -> None:
    for stage in re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]:
        name = stage.split(" AS ")[1].split()[0]
        runs = "\nCMD " in stage
        assert runs == (name in ("application", "edge", "sqs"))
        if runs:
            assert re.search(r"^USER (?!root$)[\w-]+$", stage, re.MULTILINE), name
            assert "gcc" not in stage
            assert re.search(r'^CMD \["', stage, re.MULTILINE), "a shell would keep signals to itself"


def test_an_image_holds_the_code_and_no_data() -> None:
    kept = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source.split("/")[0] for line in copied for source in line.split()}
    assert sources == set(kept)
    assert all((ROOT / name).exists() for name in kept)
