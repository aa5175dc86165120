"""Whether this application may be stampeded, and how it says so.

An environment declares itself a load target by STAMPEDE_LOAD_TARGET=<its name>. Then it signs the laboratory's
challenge, and plays known answers (`config/known_answers.py`); in every other one there is nothing at these addresses.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from config.secret import MINIMUM_LENGTH
from ico.chains import chain_ids
from loadtests.guard import challenge


def must_be_declared() -> None:
    """Raises `Http404` where nobody declared a load target."""
    if not settings.LOAD_TARGET:
        raise Http404


@require_safe
def load_target(request: HttpRequest) -> JsonResponse:
    must_be_declared()
    nonce = request.GET.get("challenge", "")
    if not challenge.NONCE.fullmatch(nonce):
        raise BadRequest("challenge must be 16 to 128 letters, digits, - or _")
    signed = challenge.signature(
        key=challenge.derived_key(settings.LOAD_KEY),
        environment=settings.LOAD_TARGET,
        nonce=nonce,
        host=request.get_host(),
    )
    response = JsonResponse({"environment": settings.LOAD_TARGET, "challenge": nonce, "signature": signed})
    response["Cache-Control"] = "no-store"
    return response


@register(Tags.security)
def declared(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A sale that takes real money is no load target, whatever its environment is called."""
    problems: list[CheckMessage] = []
    if settings.LOAD_TARGET and not challenge.ENVIRONMENT.fullmatch(settings.LOAD_TARGET):
        hint = "Set it to a name such as staging: small letters, digits and -, at most 40."
        problems.append(Error("STAMPEDE_LOAD_TARGET is not a name.", hint=hint, id="stampede.E013"))
    if settings.LOAD_TARGET and (real := [chain for chain in ("BTC", "ETH") if _takes_real_money(chain)]):
        names = " and ".join(f"STAMPEDE_{chain}_NODE" for chain in real)
        hint = "Leave STAMPEDE_LOAD_TARGET away here, or follow a test network or a simulated chain."
        problem = f"STAMPEDE_LOAD_TARGET declares a load target, and {names} follows real money."
        problems.append(Error(problem, hint=hint, id="stampede.E014"))
    if len(settings.LOAD_KEY) < MINIMUM_LENGTH:
        hint = f"Set it to at least {MINIMUM_LENGTH} random characters, the same where the laboratory runs."
        problems.append(Error("STAMPEDE_LOAD_KEY is too short.", hint=hint, id="stampede.E015"))
    return problems


def _takes_real_money(chain: str) -> bool:
    if not settings.NODES[chain]:
        return False
    if chain == "BTC":
        return bool(settings.BTC_NETWORK == "mainnet")
    return settings.ETH_CHAIN_ID not in {*chain_ids.DEVELOPMENT, *chain_ids.TEST_NETWORKS}
