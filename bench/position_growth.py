"""Does a poll of the position cost more when a million wait than when forty thousand do?

python -m bench.position_growth [rounds] [seconds]
"""

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.side_by_side import filled_line, gunicorn, machine, rates, ratio, taking_turns

LINES = (40_000, 1_000_000)
ASKING = 5_000  # people, evenly spread over the line


def main() -> None:
    rounds, seconds = (float(value) for value in (*sys.argv[1:], *("7", "3")[len(sys.argv) - 1 :]))
    contenders = {}
    with ExitStack() as opened:
        for people in LINES:
            data = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="stampede-bench-")))
            began = time.monotonic()
            paths = filled_line(data, people=people, tickets=ASKING)
            print(f"{people:,} people put in line in {time.monotonic() - began:.1f} s", file=sys.stderr)
            url = opened.enter_context(gunicorn("config.wsgi:application", data=data))
            contenders[f"{people:,} waiting"] = taking_turns(url, paths, data)
        found = rates(contenders, rounds=int(rounds), seconds=seconds)
    few, many = found
    print(f"position API: with 1,000,000 waiting {ratio(many, few):.2f} of the rate with 40,000 ({machine()})")


if __name__ == "__main__":
    main()
