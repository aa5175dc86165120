"""Does this host want to be driven? It is asked by a challenge that only a declared load target of ours can answer, and
before it has answered nothing else is sent.

What is signed: the environment's name, a number used once and the name that was asked for, so that neither another
environment nor a host that passes our question on can answer for it. The key is derived, so that what signs tickets
elsewhere signs nothing here. `config/load_target.py` answers with the same functions; nothing in here knows Django.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Collection, Mapping
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlencode

from loadtests.guard import pinned
from loadtests.target import Target, TargetRefused, resolve

PATH = "/.well-known/load-target"
NONCE = re.compile(r"[A-Za-z0-9_-]{16,128}")
ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# What `serve` and `stampede` declare themselves to be, and what is expected where nobody says anything.
DEMO = "demo"
PATIENCE_SECONDS = 15.0
_LONGEST_ANSWER = 4_096
DATA = Path(__file__).resolve().parents[2] / "var" / "data"


def derived_key(secret: str) -> bytes:
    """The key of this one purpose."""
    return hmac.digest(secret.encode(), b"stampede: key of the load target's challenge, 1", hashlib.sha256)


def signature(*, key: bytes, environment: str, nonce: str, host: str) -> str:
    """`host` as in the Host header. None of the parts can hold the line feed that separates them."""
    said = "\n".join(("stampede: I am a load target, 1", environment, nonce, host.lower()))
    return hmac.digest(key, said.encode(), hashlib.sha256).hex()


def secret_here(environ: Mapping[str, str], *, data: Path = DATA) -> str:
    """The secret of this machine, for processes without Django: what `config/settings.py` takes, found the same way.
    Raises `TargetRefused` when there is none: nobody can answer us rightly then."""
    named = environ.get("STAMPEDE_LOAD_KEY") or environ.get("STAMPEDE_SECRET_KEY")
    kept = Path(environ.get("STAMPEDE_DATA") or data) / "secret-key"
    if named or kept.is_file():
        return named or kept.read_text().strip()
    raise TargetRefused("no key to know the target by: set STAMPEDE_LOAD_KEY to the target's, or STAMPEDE_DATA")


def admitted(url: str, *, allow: Collection[str], environment: str, secret: str, address: str = "") -> Target:
    """The target behind a URL, once it has said that it is one. `address`: as `resolve` takes it. Raises
    `TargetRefused`."""
    target = resolve(url, allow=allow, address=address)
    prove(target, environment=environment, key=derived_key(secret))
    return target


def prove(target: Target, *, environment: str, key: bytes) -> None:
    """Nothing, when the target is what it must be. Raises `TargetRefused` in every other case; one request was sent
    then, to this address, and no redirect is followed."""
    nonce = secrets.token_urlsafe(24)
    status, body = _asked(target, nonce)
    if status != 200:
        raise TargetRefused(_not_declared(target, status))
    try:
        told = json.loads(body)
        named, again, signed = (str(told[part]) for part in ("environment", "challenge", "signature"))
    except (ValueError, TypeError, LookupError):
        raise TargetRefused(f"{target.url} answers {PATH} with something else than a signed name") from None
    if named != environment:
        raise TargetRefused(
            f"{target.url} is the environment {named[:40]!r}, and this run is for {environment!r} (--environment). "
            "Nothing else was sent."
        )
    right = signature(key=key, environment=environment, nonce=nonce, host=target.authority)
    if again != nonce or not hmac.compare_digest(right.encode(), signed.encode()):
        raise TargetRefused(
            f"{target.url} says it is {environment!r}, and did not sign it with our key: set STAMPEDE_LOAD_KEY to the "
            "same for both, or STAMPEDE_DATA to its data folder. Nothing else was sent."
        )


def _not_declared(target: Target, status: int) -> str:
    said = "redirects us elsewhere" if 300 <= status < 400 else f"answers {PATH} with {status}"
    return (
        f"{target.url} {said}: it has not declared itself a load target (STAMPEDE_LOAD_TARGET=<name> there, as `serve` "
        "and the local stack do). Nothing else was sent."
    )


def _asked(target: Target, nonce: str) -> tuple[int, bytes]:
    connection = pinned.connection(target, timeout=PATIENCE_SECONDS)
    try:
        connection.request(
            "GET",
            f"{PATH}?{urlencode({'challenge': nonce})}",
            headers={"Host": target.authority, "User-Agent": "stampede-laboratory", "Connection": "close"},
        )
        response = connection.getresponse()
        return response.status, response.read(_LONGEST_ANSWER)
    except (OSError, HTTPException) as error:
        raise TargetRefused(f"{target.url} did not answer whether it is a load target: {error!r}") from error
    finally:
        connection.close()
