"""What does a poll of the position cost beside an empty Django view and beside gunicorn alone?

python -m bench.position_vs_bare [rounds] [seconds]
"""

import sys
import tempfile
from pathlib import Path

from bench.side_by_side import filled_line, gunicorn, machine, rates, ratio


def main() -> None:
    rounds, seconds = (float(value) for value in (*sys.argv[1:], *("7", "3")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        data = Path(folder)
        [path] = filled_line(data, people=1000, tickets=1)
        with (
            gunicorn("config.wsgi:application", data=data) as product,
            gunicorn("config.wsgi:application", data=data, settings="bench.settings") as with_empty,
            gunicorn("bench.bare:application", data=data) as bare,
        ):
            contenders = {
                "position API": [f"{product}{path}"],
                "empty Django view": [f"{with_empty}/bench/empty"],
                "bare WSGI": [f"{bare}/"],
            }
            found = rates(contenders, rounds=int(rounds), seconds=seconds)
    position, empty, least = found
    print(
        f"position API: {ratio(position, empty):.2f} of the rate of an empty Django view, "
        f"{ratio(position, least):.2f} of bare WSGI ({machine()})"
    )


if __name__ == "__main__":
    main()
