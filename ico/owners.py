"""Whose addresses these are, of all that one block pays. Used by `arrivals`."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections

from ico.models import DepositAddress

AT_ONCE = 4_000  # about a full block of Bitcoin; SQLite takes 32,766 parameters since 3.32
STATEMENT = """
SELECT wire, id, invitation_id FROM ico_depositaddress
WHERE chain = %s AND invitation_id IS NOT NULL AND wire IN ({places})
"""


def owners(chain: str, wires: Iterable[str]) -> dict[str, tuple[int, int]]:
    """The address's row and its invitation's, by the address as blocks write it, of those that were handed out. By the
    unique index, however many addresses there are; in its order, so that neighbours are found together.

    The statement is written by hand: the model layer takes longer to compose thousands of parameters than the database
    to look them up (bench/match_block.py)."""
    wanted, found = sorted(set(wires)), {}
    with connections[DepositAddress.objects.db].cursor() as cursor:
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            cursor.execute(STATEMENT.format(places=",".join(["%s"] * len(some))), [chain, *some])
            found.update({wire: (key, invitation) for wire, key, invitation in cursor.fetchall()})
    return found
