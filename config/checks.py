"""System checks: what would go wrong later, said before anything starts, with the fix as a hint.

`manage.py check` runs them; every other command does so first.
"""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, DatabaseError

from ico.chains import chain_ids, hd


@register(Tags.security)
def account_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Deposit addresses come from extended public keys of an account; nothing else may be configured."""
    problems: list[CheckMessage] = []
    for number, chain in enumerate(("BTC", "ETH"), start=1):
        key = getattr(settings, f"{chain}_XPUB")
        network = settings.BTC_NETWORK if chain == "BTC" else "mainnet"
        try:
            hd.account(chain=chain, key=key, network=network)
        except hd.BadAccountKey as error:
            hint = f"Set STAMPEDE_{chain}_XPUB to the extended public key of the account (depth 3) on {network}."
            problems.append(
                Error(f"STAMPEDE_{chain}_XPUB cannot be used: {error}", hint=hint, id=f"stampede.E00{number}")
            )
    return problems


@register(Tags.security)
def demo_keys(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """What is paid to an address of a published demo key is lost, whatever it is worth: its seed was thrown away."""
    problem = "STAMPEDE_{0}_NODE names a node of a network beyond this machine, and the account key is the demo's."
    hint = "Set STAMPEDE_{0}_XPUB to the account key of a wallet of yours: nobody has the demo's."
    return [
        Error(problem.format(chain), hint=hint.format(chain), id="stampede.E010")
        for chain in ("BTC", "ETH")
        if settings.NODES[chain] and not _is_play(chain) and _is_demo_key(chain)
    ]


@register
def nodes(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    bitcoin = settings.NODES["BTC"]
    if bitcoin and not (bitcoin.username and bitcoin.password) and not _lets_in_otherwise(bitcoin):
        hint = "Set it to something like http://user:password@127.0.0.1:8332, as the node's rpcauth has them."
        problems.append(Error("STAMPEDE_BTC_NODE has no user or no password.", hint=hint, id="stampede.E011"))
    if settings.ETH_FINALITY == "finalized" and not settings.NODES["ETH"]:
        hint = "Set STAMPEDE_ETH_NODE, or leave STAMPEDE_ETH_FINALITY away: deposits are credited by depth."
        problem = "STAMPEDE_ETH_FINALITY=finalized, and the simulated chain calls no block final."
        problems.append(Warning(problem, hint=hint, id="stampede.W004"))
    return problems


@register(Tags.database)
def same_account_keys(
    app_configs: Sequence[AppConfig] | None, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The addresses that were derived so far are of the key that is configured. Only `migrate`, and with it every start
    by `serve` and `stack`, and `check --database default` name a database: nobody else opens one for this. Where the
    tables are not there yet, nothing was derived."""
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    hint = "Set STAMPEDE_{0}_XPUB back to the key that this database began with; another key needs a sale of its own."
    problem = "STAMPEDE_{0}_XPUB is not the key that the {0} addresses in the database were derived from."
    return [
        Error(problem.format(chain), hint=hint.format(chain), id="stampede.E012")
        for chain, address in sorted(_derived_first().items())
        if _given_first(chain, getattr(settings, f"{chain}_XPUB")) not in (None, address)
    ]


def _lets_in_otherwise(node: SplitResult) -> bool:
    """A node behind somebody's proxy: a token in the path, or whatever TLS is there for. Bitcoin's own server has
    neither, and answers nobody without a login."""
    return node.scheme == "https" or node.path.strip("/") != ""


def _is_play(chain: str) -> bool:
    """A network whose coins are made by whoever wants some, on one machine."""
    return settings.BTC_NETWORK == "regtest" if chain == "BTC" else settings.ETH_CHAIN_ID in chain_ids.DEVELOPMENT


def _is_demo_key(chain: str) -> bool:
    """Also when it is written with other version bytes."""
    return _given_first(chain, getattr(settings, f"{chain}_XPUB")) == _given_first(chain, settings.DEMO_KEYS[chain])


def _given_first(chain: str, key: str) -> str | None:
    """The first address of an account key; None for one that cannot be used, which `account_keys` names."""
    try:
        network = settings.BTC_NETWORK if chain == "BTC" else "mainnet"
        return hd.account(chain=chain, key=key, network=network).address(0)
    except hd.BadAccountKey:
        return None


def _derived_first() -> dict[str, str]:
    """The first address of each chain that has one, by one query and without a transaction: on files a transaction
    would wait for whoever writes."""
    from ico.models import DepositAddress  # apps are not ready when this file is read

    try:
        return dict(DepositAddress.objects.filter(index=0).values_list("chain", "address"))
    except DatabaseError:
        return {}


@register(Tags.files)
def data_folder(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if os.access(settings.DATA_DIR, os.W_OK | os.X_OK):
        return []
    hint = "Name a folder that this user may write to in STAMPEDE_DATA."
    return [Error(f"The data folder {settings.DATA_DIR} cannot be written to.", hint=hint, id="stampede.E003")]


@register(Tags.urls)
def public_url(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The links in mails are built from it, so its host must be one that is answered."""
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        hint = "Set STAMPEDE_PUBLIC_URL to something like https://sale.example.org"
        return [Error(f"STAMPEDE_PUBLIC_URL is not an address: {settings.PUBLIC_URL}", hint=hint, id="stampede.E004")]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if "*" in settings.ALLOWED_HOSTS or host in settings.ALLOWED_HOSTS:
        return []
    hint = f"Add {host} to STAMPEDE_ALLOWED_HOSTS (a list with commas)."
    return [Error(f"Mails would link to {host}, which is not answered here.", hint=hint, id="stampede.E005")]


@register(Tags.database)
def replicas(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Replicas follow a primary, each another server."""
    if not settings.REPLICAS:
        return []
    if not _is_mariadb():
        hint = "Set STAMPEDE_DATABASE_URL to the primary that they follow, or leave STAMPEDE_REPLICA_URLS away."
        return [Error("STAMPEDE_REPLICA_URLS names replicas of no primary.", hint=hint, id="stampede.E006")]
    servers = Counter(_server(alias) for alias in (DEFAULT_DB_ALIAS, *settings.REPLICAS))
    hint = "Name each server once: the primary in STAMPEDE_DATABASE_URL, its replicas in STAMPEDE_REPLICA_URLS."
    return [
        Error(f"The database server {server} is named {count} times.", hint=hint, id="stampede.E007")
        for server, count in servers.items()
        if count > 1
    ]


@register(Tags.caches)
def shared_cache(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A database server is there for several machines; what they must know of each other lies in Redis."""
    if settings.REDIS_URL or not _is_mariadb():
        return []
    lost = "limits are counted on each machine by itself"
    if settings.REPLICAS:
        lost += ", and who signs up on one may not see the place on another"
    hint = "Set STAMPEDE_REDIS_URL, unless there is one machine only."
    return [Warning(f"There is no Redis: {lost}.", hint=hint, id="stampede.W002")]


@register
def broker(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.BROKER != "sqs" or _is_mariadb():
        return []
    hint = "Set STAMPEDE_DATABASE_URL as well, or leave STAMPEDE_BROKER away while everything runs on this machine."
    problem = "Messages go through SQS, but the rows they are about lie in a file of this machine."
    return [Warning(problem, hint=hint, id="stampede.W003")]


@register
def aws_credentials(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    used = [name for name, used in (("SQS", settings.BROKER == "sqs"), ("SES", settings.MAIL_BY == "ses")) if used]
    if not used or _has_credentials():
        return []
    hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (any words for an emulator), or give the machine a role."
    return [Error(f"{' and '.join(used)} cannot be used without credentials.", hint=hint, id="stampede.E008")]


@register
def mail_server(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.MAIL_BY != "smtp" or "STAMPEDE_SMTP_URL" in os.environ:
        return []
    hint = "Set STAMPEDE_SMTP_URL to something like smtp+tls://user:password@mail.example.org:587"
    return [Error("STAMPEDE_MAIL=smtp, and no server is named.", hint=hint, id="stampede.E009")]


def _is_mariadb() -> bool:
    return str(settings.DATABASES[DEFAULT_DB_ALIAS]["ENGINE"]).endswith("mysql")


def _server(alias: str) -> str:
    named = settings.DATABASES[alias]
    return f"{named['HOST']}:{named['PORT']}"


def _has_credentials() -> bool:
    """Whether boto's usual chain finds any: environment, files, the machine's role (which may take two seconds)."""
    from boto3 import Session  # part of the stack's packages, and looked for before this runs

    return Session().get_credentials() is not None


@register(Tags.security, deploy=True)
def signing_key(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if "STAMPEDE_SECRET_KEY" in os.environ:
        return []
    hint = "Set STAMPEDE_SECRET_KEY to at least 32 random characters, the same for every process."
    return [Warning("The signing key lies in the data folder; that is for a demo.", hint=hint, id="stampede.W001")]
