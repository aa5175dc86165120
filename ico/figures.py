"""The sale in figures for Prometheus: the line, the releases, the caps, the chains. Read when somebody asks
(`config/metrics.py`), so each group is a handful of rows by index and one count that is remembered for a while."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Count
from django.utils import timezone

from config.cache import remembered
from config.metrics import Figure, Figures, Values
from ico import addresses, board
from ico.models import (
    Chain,
    ChainCursor,
    ChainReading,
    Deposit,
    Entrant,
    LedgerEntry,
    Release,
    Sale,
)

COUNTED_SECONDS = 5.0

NUMBERED = Figure("stampede_line_numbered", "The last number given.", ("sale",))
UNNUMBERED = Figure("stampede_line_unnumbered", "Places taken that have no number yet.", ("sale",))
SERVED = Figure("stampede_line_served", "The highest released number.", ("sale",))
RESERVED = Figure("stampede_cap_reserved_cents", "Promised or paid under the total cap.", ("sale",))
TOTAL = Figure("stampede_cap_total_cents", "The total cap.", ("sale",))
GATE = Figure("stampede_gate_closed", "1 while the chain's load holds the releases.", ("sale",))
REASON = Figure("stampede_release_reason", "1 for the reason of the newest decision.", ("sale", "reason"))
DECIDED = Figure("stampede_release_age_seconds", "Age of the newest decision; grows when no clock runs.", ("sale",))

BOARD_AGE = Figure("stampede_board_age_seconds", "Age of the board on this machine.", ("sale",))
WAITING = Figure("stampede_line_waiting", "Numbered people in line, as the board on this machine says.", ("sale",))

BEHIND = Figure("stampede_chain_behind_blocks", "Blocks between the chain's tip and where we are.", ("chain",))
TIP_AGE = Figure("stampede_chain_tip_age_seconds", "Age of the tip by its own time, when last looked at.", ("chain",))
FOLLOWED = Figure("stampede_chain_followed_age_seconds", "Age of the last step along the chain.", ("chain",))
TROUBLE = Figure("stampede_chain_trouble_seconds", "Since when the chain is not followed; 0 when it is.", ("chain",))
DEPOSITS = Figure(
    "stampede_deposits", "Deposits by state, and what they are in review for.", ("chain", "state", "review")
)
COMPENSATED = Figure(
    "stampede_deposits_compensated", "Credits that a reorg undid; they stay in the ledger.", ("chain",)
)
LOAD = Figure("stampede_chain_load", "The chain's load, 0 to 1, as last read.", ("chain",))

READY = Figure("stampede_addresses_waiting", "Deposit addresses derived ahead and free.", ("chain",))
HIGHEST = Figure("stampede_addresses_highest_index", "The highest index that was handed out.", ("chain",))


def _line() -> Values:
    now = timezone.now()
    for sale in Sale.objects.order_by("pk"):
        name = (sale.slug,)
        yield NUMBERED, name, sale.last_number
        yield UNNUMBERED, name, Entrant.objects.filter(sale=sale, number=None).count()
        yield SERVED, name, sale.served
        yield RESERVED, name, sale.reserved_cents
        yield TOTAL, name, sale.total_cap_cents
        yield GATE, name, sale.gate_closed
        yield from _newest_decision(sale, now)


def _newest_decision(sale: Sale, now: datetime) -> Values:
    newest = sale.releases.order_by("-decided_at", "-pk").first()
    if newest is None:
        return
    for reason in Release.Reason.values:  # all of them: a series that ends would go on being shown for five minutes
        yield REASON, (sale.slug, reason), reason == newest.reason
    yield DECIDED, (sale.slug,), (now - newest.last_decided_at).total_seconds()


def _boards() -> Values:
    now = timezone.now()
    for line in board.on_this_machine():
        yield BOARD_AGE, (line.sale,), (now - line.as_of).total_seconds()
        yield WAITING, (line.sale,), line.waiting


def _chains() -> Iterator[tuple[Figure, tuple[str, ...], float]]:
    now = timezone.now()
    for cursor in ChainCursor.objects.order_by("chain"):
        if not cursor.trouble:  # else nobody knows where the tip is
            yield BEHIND, (cursor.chain,), max(0, cursor.tip_height - cursor.height)
        if cursor.tip_at:
            yield TIP_AGE, (cursor.chain,), (now - cursor.tip_at).total_seconds()
        if cursor.followed_at:
            yield FOLLOWED, (cursor.chain,), (now - cursor.followed_at).total_seconds()
        since = cursor.trouble_since or now
        yield TROUBLE, (cursor.chain,), (now - since).total_seconds()
    for reading in ChainReading.objects.order_by("chain"):
        yield LOAD, (reading.chain,), reading.load


def _addresses() -> Values:
    for row in addresses.published():
        yield READY, (row.chain,), row.waiting
        if row.highest is not None:
            yield HIGHEST, (row.chain,), row.highest


def _deposits() -> Values:
    for chain, state, review, count in deposits_by_state():
        yield DEPOSITS, (chain, state, review), count
    for chain, count in compensated().items():
        yield COMPENSATED, (chain,), count


def deposits_by_state() -> list[tuple[str, str, str, int]]:
    """Chain, state, review (empty but in review) and how many, also of what there are none."""

    def counted() -> list[tuple[str, str, str, int]]:
        states = Deposit.State
        kinds = [(state, "") for state in states.values if state != states.REVIEW]
        kinds += [(states.REVIEW.value, review) for review in Deposit.Review.values]
        kinds.append((states.DROPPED.value, Deposit.Review.REORG.value))  # credited, undone, and gone for good
        rows = Deposit.objects.order_by().values_list("chain", "state", "review").annotate(count=Count("pk"))
        found = {(chain, *kind): 0 for chain in Chain.values for kind in kinds}
        found |= {(chain, state, review): count for chain, state, review, count in rows}
        return [(*kind, count) for kind, count in found.items()]

    return remembered("figures:deposits", seconds=COUNTED_SECONDS, make=counted)


def compensated() -> dict[str, int]:
    def counted() -> dict[str, int]:
        rows = LedgerEntry.objects.filter(cents__lt=0).order_by().values_list("deposit__chain")
        return dict.fromkeys(Chain.values, 0) | dict(rows.annotate(count=Count("pk")))

    return remembered("figures:compensated", seconds=COUNTED_SECONDS, make=counted)


FIGURES = (
    Figures("line", (NUMBERED, UNNUMBERED, SERVED, RESERVED, TOTAL, GATE, REASON, DECIDED), _line),
    Figures("board", (BOARD_AGE, WAITING), _boards),
    Figures("chains", (BEHIND, TIP_AGE, FOLLOWED, TROUBLE, LOAD), _chains),
    Figures("deposits", (DEPOSITS, COMPENSATED), _deposits),
    Figures("addresses", (READY, HIGHEST), _addresses),
)
