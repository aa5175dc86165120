"""System checks: what would go wrong later, said before anything starts, with the fix as a hint.

`manage.py check` runs them; every other command does so first.
"""

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from ico.chains import hd


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


@register(Tags.security, deploy=True)
def signing_key(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    if "STAMPEDE_SECRET_KEY" in os.environ:
        return []
    hint = "Set STAMPEDE_SECRET_KEY to at least 32 random characters, the same for every process."
    return [Warning("The signing key lies in the data folder; that is for a demo.", hint=hint, id="stampede.W001")]
