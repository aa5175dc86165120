"""What product and event pages show in an iframe: a call of its own, so that the page around it stays one for all."""

import logging

from csp.constants import SELF
from csp.decorators import csp_replace
from django.contrib.auth.models import User
from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.clickjacking import xframe_options_sameorigin

from config import database
from config.faults import words
from config.origin import read_only
from shop import recommendations
from shop.wares import Card, NotThere

logger = logging.getLogger(__name__)


@read_only
@xframe_options_sameorigin
@csp_replace({"frame-ancestors": [SELF]})  # type: ignore[untyped-decorator]
def recommended(request: HttpRequest, product: str) -> HttpResponse:
    try:
        beside = recommendations.beside(product)
    except NotThere as error:
        raise Http404(str(error)) from None
    shown = {"beside": beside, "seen": _seen(request, product_id=beside.product_id)}
    response = HttpResponse(render_to_string("shop/recommended.html", shown))
    response["Cache-Control"] = "private, no-store"
    return response


def _seen(request: HttpRequest, *, product_id: int) -> tuple[Card, ...]:
    """The reader's own part, nothing for a guest. Left out when the books do not answer: the other part still can."""
    try:
        customer = request.user
        if not isinstance(customer, User):
            return ()
        seen = recommendations.seen_by(customer=customer, without=product_id)
        if request.method == "GET":
            with database.primary("sighting"):
                recommendations.saw(customer=customer, product_id=product_id, now=timezone.now())
    except Error as error:
        logger.warning("what a customer has seen is left out: %s", words(error))
        return ()
    return seen
