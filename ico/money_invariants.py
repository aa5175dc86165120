"""The invariants of caps, addresses and deposits."""

from itertools import islice

from django.conf import settings
from django.db.models import Count, F, Sum

from config.audit import Evidence, Finding, Invariant, finding
from ico import addresses, caps, deposits
from ico.arrivals import Key
from ico.chains.base import ChainError
from ico.models import Chain, ChainCursor, Deposit, DepositAddress, Invitation, LedgerEntry, Release, Sale
from ico.onchain import NothingAgreed, OnChain, StillMoving, agreed, is_there, transfers_to_us

ADDRESSES_DERIVED_AGAIN = 2_000  # a third of a millisecond each; of more, every n-th
READINGS = 5  # of a chain that is reorganised each time


def total_cap(evidence: Evidence) -> Finding:
    """What is promised or paid is what the allowances add up to, and within the total cap."""
    breaches = []
    for sale in Sale.objects.all():
        sums = sale.invitations.aggregate(allowed=Sum("allowance_cents"), credited=Sum("credited_cents"))
        allowed = sums["allowed"] or 0
        if allowed != sale.reserved_cents:
            breaches.append(f"{sale.slug}: allowances of {allowed} cents, reserved {sale.reserved_cents}")
        if allowed > sale.total_cap_cents:
            breaches.append(
                f"{sale.slug}: {allowed} cents are promised or paid, the total cap is {sale.total_cap_cents}"
            )
    return finding(Sale.objects.count(), breaches)


def personal_caps(evidence: Evidence) -> Finding:
    """The cap that counts is the one of the decision that invited: an operator may change it for later ones."""
    over = list(Invitation.objects.filter(credited_cents__gt=F("allowance_cents")).values_list("pk", flat=True))
    for release in Release.objects.filter(reason=Release.Reason.RELEASED):
        above = release.invitations.filter(allowance_cents__gt=release.inputs["allowance_cents"])
        over += above.values_list("pk", flat=True)
    breaches = [f"invitation {key} is above its cap" for key in over]
    return finding(Invitation.objects.count(), breaches)


def ledger_adds_up(evidence: Evidence) -> Finding:
    """What is credited to a person, what their deposits say, and what the ledger booked are the same sum."""
    breaches = []
    booked = dict(LedgerEntry.objects.values_list("invitation").annotate(Sum("cents")))
    counted = dict(Deposit.objects.values_list("address__invitation").annotate(Sum("credited_cents")))
    credited = dict(Invitation.objects.values_list("pk", "credited_cents"))
    for key, cents in credited.items():
        if not cents == booked.get(key, 0) == counted.get(key, 0):
            breaches.append(
                f"invitation {key}: credited {cents}, ledger {booked.get(key, 0)}, deposits {counted.get(key, 0)} cents"
            )
    return finding(len(credited), breaches)


def addresses_unique(evidence: Evidence) -> Finding:
    """Who joined has one address on each chain, nobody else's; what was derived, handed out or not, is what the public
    key gives, index by index without a gap."""
    joined = Invitation.objects.filter(joined_at__isnull=False)
    wrong = joined.annotate(given=Count("addresses")).exclude(given=len(Chain.values))
    breaches = [f"invitation {key} has {given} addresses" for key, given in wrong.values_list("pk", "given")]
    for chain in Chain.values:
        breaches += _not_dense(chain) + _of_another_key(chain)
    return finding(DepositAddress.objects.count(), breaches)


def _not_dense(chain: str) -> list[str]:
    rows = DepositAddress.objects.filter(chain=chain)
    twice = rows.values("wire").annotate(times=Count("pk")).filter(times__gt=1)
    breaches = [f"{row['wire']} can be given to {row['times']} people" for row in twice]
    cursor = ChainCursor.objects.filter(chain=chain).first()
    next_index = cursor.next_index if cursor else 0
    beyond = rows.filter(index__gte=next_index).count()
    if beyond:
        breaches.append(f"{chain}: {beyond} addresses stand beyond the next unused index")
    missing = next_index + beyond - rows.count()
    if missing:
        breaches.append(f"{chain}: {missing} indexes below {next_index} have no address")
    return breaches


def _of_another_key(chain: str) -> list[str]:
    """`manage.py addresses --check` derives every one of them again."""
    rows = DepositAddress.objects.filter(chain=chain).order_by("index").values_list("index", "address")
    step = max(1, rows.count() // ADDRESSES_DERIVED_AGAIN)
    return [
        f"{chain} {index}: {address} is not what the public key gives"
        for index, address in islice(rows.iterator(), 0, None, step)
        if addresses.derived(chain=chain, index=index) != address
    ]


def deposits_explained(evidence: Evidence) -> Finding:
    """Whatever arrived and counts is credited or owed back: nothing is lost, nothing kept silently."""
    breaches, checked = [], 0
    settled = Deposit.objects.filter(state__in=(Deposit.State.CREDITED, Deposit.State.REVIEW))
    for deposit in settled.select_related("address__invitation__btc_rate", "address__invitation__eth_rate").iterator():
        if deposit.review == Deposit.Review.REORG:
            continue  # compensated, and not on the chain: nothing arrived
        checked += 1
        invitation = deposit.address.owner
        rate = invitation.btc_rate if deposit.chain == Chain.BTC else invitation.eth_rate
        credited = deposit.credited_cents
        whole = credited == caps.worth_cents(deposit.amount, rate, deposit.chain) and not deposit.owed_back
        if not whole and deposit.owed_back != deposit.amount - caps.amount_for(credited, rate, deposit.chain):
            breaches.append(f"{deposit}: {credited} cents credited, {deposit.owed_back} owed of {deposit.amount}")
    return finding(checked, breaches)


def deposits_on_chain_once(evidence: Evidence) -> Finding:
    """Every credited deposit stands on the chain once, and was deep enough; every transfer to us is in the books. Up to
    the height where the node still has the blocks that were followed: a reorg above it is news that the next step of
    following will bring."""
    breaches: list[str] = []
    checked = 0
    for chain in Chain.values:
        if ChainCursor.objects.filter(chain=chain, height__gte=0).exists():
            try:
                real, booked = _undisturbed(chain)
            except (ChainError, NothingAgreed, StillMoving) as error:
                breaches.append(f"{chain} could not be held against its chain: {error}")
                continue
            checked += len(real)
            breaches += _held_against(chain, real, booked)
    return finding(checked, breaches)


def _undisturbed(chain: str) -> tuple[dict[Key, OnChain], dict[Key, Deposit]]:
    """The transfers to us up to the agreed height, and the deposits that are booked up to it, both read while no reorg
    reached down to it, neither the node's nor one that was followed meanwhile."""
    client = deposits.client_for(chain)
    for _ in range(READINGS):
        point = agreed(chain, client)
        real = transfers_to_us(chain, client, last=point.height)
        booked = _booked(chain, point.height)
        if agreed(chain, client).height >= point.height and is_there(client, point):
            return real, booked
    raise StillMoving(f"it was reorganised {READINGS} times while it was read")


def _booked(chain: str, height: int) -> dict[Key, Deposit]:
    found = Deposit.objects.filter(chain=chain, block_height__lte=height).select_related("address")
    return {(deposit.txid, deposit.position): deposit for deposit in found}


def _held_against(chain: str, real: dict[Key, OnChain], booked: dict[Key, Deposit]) -> list[str]:
    breaches = [f"{chain} {key[0]} pays us and is not in the books" for key in real.keys() - booked.keys()]
    for key, deposit in booked.items():
        found = real.get(key)
        if found is None:
            if deposit.state == Deposit.State.CREDITED:
                breaches.append(f"{deposit}: credited, and not on the chain")
        elif (found.address, found.amount) != (deposit.address.wire, deposit.amount):
            breaches.append(f"{deposit}: not the amount or the address that the chain has")
        elif found.height != deposit.block_height:
            breaches.append(f"{deposit}: in block {found.height} of the chain, and not in {deposit.block_height}")
        elif deposit.state == Deposit.State.CREDITED and not _was_final(deposit):
            breaches.append(f"{deposit}: credited before it was deep enough")
    return breaches


def _was_final(deposit: Deposit) -> bool:
    """When it was settled, not now: a reorg may leave the tip lower than it was, above a block that still stands, and
    an operator may have changed the depth since. Rows from before `settled_final` only say how high the tip was."""
    tip, block = deposit.settled_tip or 0, deposit.block_height or 0
    if deposit.settled_final is None:
        return tip - block + 1 >= settings.CONFIRMATIONS[deposit.chain]
    return block <= deposit.settled_final <= tip


INVARIANTS = [
    Invariant("total-cap", "allowances and payments are within the total cap, and reserved exactly", total_cap),
    Invariant("personal-caps", "nobody is credited more than the personal cap", personal_caps),
    Invariant("ledger-adds-up", "credits, deposits and ledger are the same sums", ledger_adds_up),
    Invariant("addresses-unique", "every deposit address is derived, given once, to one person", addresses_unique),
    Invariant("deposits-explained", "whatever arrived is credited or owed back", deposits_explained),
    Invariant("deposits-on-chain-once", "every credited deposit is on the chain, once", deposits_on_chain_once),
]
