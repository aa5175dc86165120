"""What `/readyz` asks of the sale."""

from django.utils import timezone

from config.health import Check, Trouble
from ico import board

OLD_SECONDS = 10  # the clock renews a board every second


def _boards() -> str:
    now = timezone.now()
    ages = {line.sale: (now - line.as_of).total_seconds() for line in board.on_this_machine()}
    told = ", ".join(f"{sale}: {age:.0f} s old" for sale, age in ages.items()) or "none has been written here yet"
    if not ages or max(ages.values()) > OLD_SECONDS:
        raise Trouble(told)
    return told


CHECKS = [Check("board", _boards)]
