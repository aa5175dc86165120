"""QR codes of deposit addresses, as SVG without a style attribute (the content security policy allows none)."""

from functools import lru_cache

import segno
from django.utils.safestring import SafeString, mark_safe

from ico.models import Chain

_SCHEMES = {Chain.BTC: "bitcoin", Chain.ETH: "ethereum"}


def uri(chain: str, address: str) -> str:
    """BIP 21 and EIP 681, the address alone: how much to pay is up to the payer, within the allowance."""
    return f"{_SCHEMES[Chain(chain)]}:{address}"


@lru_cache(maxsize=2048)
def svg(chain: str, address: str) -> SafeString:
    """Dark modules on white with a border of four, as readers expect in any colour scheme."""
    # Trying all eight masks for the prettiest one is four fifths of the work; readers take any.
    code = segno.make(uri(chain, address), error="m", micro=False, mask=0)
    drawn = code.svg_inline(border=4, omitsize=True, dark="#000", light="#fff", title=f"QR code of {address}")
    return mark_safe(drawn.replace("<svg ", '<svg role="img" ', 1))  # noqa: S308 (made here of an address of ours)
