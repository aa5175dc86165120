"""How fast are the landing page and the board through nginx, beside a static file of the same size from the same nginx?

python -m bench.edge [rounds] [seconds]
"""

import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

from bench.behind_nginx import edge
from bench.side_by_side import filled_line, gunicorn, machine, rates, ratio

GOAL = 0.8
PUBLIC = {"landing page": "/", "board": "/api/board"}


def main() -> None:
    rounds, seconds = (float(value) for value in (*sys.argv[1:], *("7", "3")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        data = Path(folder) / "data"
        filled_line(data, people=1000, tickets=1)
        with (
            gunicorn("config.wsgi:application", data=data) as application,
            edge(Path(folder) / "edge", upstream=application.removeprefix("http://"), static=data / "static") as public,
        ):
            found = rates(_contenders(public, data / "static"), rounds=int(rounds), seconds=seconds)
    print(f"machine: {machine()}")
    for name, page, file in zip(PUBLIC, found[::2], found[1::2], strict=True):
        print(f"{name}: {ratio(page, file):.2f} of the rate of a static file of its size (goal {GOAL})")


def _contenders(public: str, static: Path) -> dict[str, list[str]]:
    contenders = {}
    for name, path in PUBLIC.items():
        with urlopen(f"{public}{path}", timeout=30) as answer:
            size = len(answer.read())
        (static / f"{size}.txt").write_bytes(b"x" * size)
        contenders[name] = [f"{public}{path}"]
        contenders[f"{size:,} bytes, static"] = [f"{public}/static/{size}.txt"]
    return contenders


if __name__ == "__main__":
    main()
