"""Who alone may do a job until when: one row per job, taken by one conditional UPDATE."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q

from ico.models import Lease


def held(name: str, *, holder: str, seconds: float, now: datetime) -> bool:
    """Take or renew the lease `name` for `seconds`; False while somebody else holds it.

    A holder that dies is followed by another when the lease has run out. Work that must not be done twice is done
    in a transaction that calls this first: the row stays locked until the commit.
    """
    until = now + timedelta(seconds=seconds)
    mine_or_over = Q(holder=holder) | Q(expires_at__lte=now)
    if Lease.objects.filter(mine_or_over, name=name).update(holder=holder, expires_at=until):
        return True
    if Lease.objects.filter(name=name).exists():
        return False
    try:
        with transaction.atomic():
            Lease.objects.create(name=name, holder=holder, expires_at=until)
    except IntegrityError:
        return False  # a rival made the row in the same moment
    return True


def give_up(name: str, *, holder: str) -> None:
    """Let another take the job at once (an orderly end; a crash waits for the lease to run out)."""
    Lease.objects.filter(name=name, holder=holder).delete()
