"""Both simulated chains go on for N blocks while nobody follows: strangers' payments in each block, and in every tenth
one to an address of ours. `STAMPEDE_DATA=... python -m bench.outage N`, on a data folder with a sale."""

import sys

import django

PEOPLE = 50
STRANGERS = 5  # a block


def main() -> None:
    blocks = int(sys.argv[1])
    django.setup()
    from django.utils import timezone

    from ico import deposits, nodes, sales
    from tests.ico.people import address_of, joined

    now = timezone.now()
    people = [joined(sale=sales.current(), now=now) for _ in range(PEOPLE)]
    for name, amount in (("BTC", 10**4), ("ETH", 10**15)):
        chain = nodes.simulated(name)
        deposits.follow(chain=name, client=chain, now=now)
        ours = [address_of(person, name) for person in people]
        for number in range(blocks):
            outputs = [(f"0x{number:020x}{place:020x}", amount) for place in range(STRANGERS)]
            paid = [(ours[number // 10 % PEOPLE], amount)] if number % 10 == 0 else []
            chain.send_many(outputs + paid)
            chain.mine(1, now=now.timestamp())


if __name__ == "__main__":
    main()
