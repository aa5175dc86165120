"""What makes the application use a stack: variables, nothing else. Written down by `up`, so that every later command
sees the same ones."""

import json
import os
from pathlib import Path

from config.serving import DEMO_PACE
from deploy.local import anvil
from deploy.local.layout import HOST, CannotStart, Layout
from deploy.local.mariadb import ACCOUNT, DATABASE

# As in production, unless the shell of whoever starts the stack says otherwise.
_LIKE_PRODUCTION = {
    **DEMO_PACE,
    "STAMPEDE_PROVENANCE": "1",
    "STAMPEDE_LOG_FORMAT": "json",
    "STAMPEDE_LOAD_TARGET": "stack",
}
_PREFIXES = ("STAMPEDE_", "AWS_")
# Never from the shell: a stack without some server must not use one that the shell knows of.
_WHERE = {
    "STAMPEDE_DATABASE_URL",
    "STAMPEDE_REPLICA_URLS",
    "STAMPEDE_REDIS_URL",
    "STAMPEDE_BROKER",
    "STAMPEDE_SQS_ENDPOINT",
    "STAMPEDE_MAIL",
    "STAMPEDE_SMTP_URL",
    "STAMPEDE_SES_ENDPOINT",
    "STAMPEDE_BTC_NODE",
    "STAMPEDE_ETH_NODE",
}
BITCOIN_USER = "stampede"
# The emulator believes everybody; boto must not look for a real account, least of all use one.
_NO_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "stack",
    "AWS_SECRET_ACCESS_KEY": "stack",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def variables(layout: Layout) -> dict[str, str]:
    """The `STAMPEDE_*` and `AWS_*` variables with which the application uses the programs of this stack."""
    shell = {name: value for name, value in os.environ.items() if name.startswith("STAMPEDE_") and name not in _WHERE}
    return {**_LIKE_PRODUCTION, **shell, "STAMPEDE_DATA": str(layout.data), **_addresses(layout), **_nodes(layout)}


def _addresses(layout: Layout) -> dict[str, str]:
    found: dict[str, str] = {}
    if layout.has("primary"):
        found["STAMPEDE_DATABASE_URL"] = _database(layout, "primary")
    if layout.replicas:
        found["STAMPEDE_REPLICA_URLS"] = ",".join(_database(layout, replica) for replica in layout.replicas)
    if layout.has("redis"):
        found["STAMPEDE_REDIS_URL"] = f"redis://{HOST}:{layout.port('redis')}/0"
    if layout.has("sqs"):
        endpoint = f"http://{HOST}:{layout.port('sqs')}"
        found |= {"STAMPEDE_BROKER": "sqs", "STAMPEDE_SQS_ENDPOINT": endpoint, **_NO_ACCOUNT}
    if layout.has("smtp"):
        found |= {"STAMPEDE_MAIL": "smtp", "STAMPEDE_SMTP_URL": f"smtp://{HOST}:{layout.port('smtp')}"}
    if layout.has("web"):
        found["STAMPEDE_BIND"] = f"{HOST}:{layout.port('web')}"
        found["STAMPEDE_PUBLIC_URL"] = public_url(layout)
    if layout.has("nginx"):
        found["STAMPEDE_TRUSTED_PROXIES"] = HOST
    return found


def _nodes(layout: Layout) -> dict[str, str]:
    """Of the chains that are not simulated. Their networks are what their nodes say, whatever the shell says."""
    found: dict[str, str] = {}
    if layout.has("ethereum"):
        found |= {"STAMPEDE_ETH_NODE": ethereum(layout), "STAMPEDE_ETH_CHAIN_ID": str(anvil.CHAIN_ID)}
    if layout.has("bitcoin"):
        found |= {"STAMPEDE_BTC_NODE": bitcoin(layout), "STAMPEDE_BTC_NETWORK": "regtest"}
    return found


def ethereum(layout: Layout) -> str:
    """Where the node answers JSON-RPC."""
    return f"http://{HOST}:{layout.port('ethereum')}"


def bitcoin(layout: Layout) -> str:
    """Where the node answers JSON-RPC, with the password."""
    return f"http://{BITCOIN_USER}:{layout.bitcoin_password}@{HOST}:{layout.port('bitcoin')}"


def public_url(layout: Layout) -> str:
    return f"http://{HOST}:{layout.port('nginx' if layout.has('nginx') else 'web')}"


def _database(layout: Layout, node: str) -> str:
    return f"mysql://{ACCOUNT}:{layout.password}@{HOST}:{layout.port(node)}/{DATABASE}"


def _file(folder: Path) -> Path:
    return folder / "environment.json"


def write(layout: Layout) -> None:
    path = _file(layout.folder)
    path.touch(mode=0o600)  # the databases' addresses hold passwords
    path.write_text(json.dumps(variables(layout), indent=1))


def read(folder: Path) -> dict[str, str]:
    """The variables of the stack in this folder. Raises `CannotStart` when there never was one."""
    try:
        kept: dict[str, str] = json.loads(_file(folder).read_text())
    except FileNotFoundError:
        raise CannotStart(f"there is no stack in {folder}") from None
    return kept


def whole(folder: Path) -> dict[str, str]:
    """This process's environment, with the stack's variables instead of its own ones of that kind."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)}
    return {**others, **read(folder)}
