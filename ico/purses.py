"""Which purse people who are played pay from on a chain: the simulated chain's, or that of the node which the settings
name."""

from django.conf import settings

from ico import nodes
from ico.chains import purse


def purse_for(chain: str) -> purse.Purse:
    address = settings.NODES[chain]
    return nodes.simulated(chain) if address is None else purse.on_node(chain, address)
