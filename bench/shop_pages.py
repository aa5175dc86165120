"""How fast is a category page of the shop from the page cache, beside an empty Django view of the same process? And
through nginx, beside a static file of the same size?

python -m bench.shop_pages [rounds] [seconds]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

from bench.behind_nginx import edge
from bench.side_by_side import ROOT, gunicorn, machine, rates, ratio

GOAL = 0.8
PRODUCTS = 1_250


def main() -> None:
    rounds, seconds = (float(value) for value in (*sys.argv[1:], *("7", "3")[len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        data = Path(folder) / "data"
        path = _seeded(data)
        with (
            gunicorn("config.wsgi:application", data=data, settings="bench.settings") as application,
            edge(Path(folder) / "edge", upstream=application.removeprefix("http://"), static=data / "static") as public,
        ):
            size = _size(f"{application}{path}")
            (data / "static" / f"{size}.txt").write_bytes(b"x" * size)
            found = rates(
                {
                    f"category page, {size:,} bytes": [f"{application}{path}"],
                    "empty Django view": [f"{application}/bench/empty"],
                    "the page through nginx": [f"{public}{path}"],
                    f"{size:,} bytes, static": [f"{public}/static/{size}.txt"],
                },
                rounds=int(rounds),
                seconds=seconds,
            )
    kept, empty, through, static = found
    print(
        f"category page: {ratio(kept, empty):.2f} of the rate of an empty Django view, through nginx "
        f"{ratio(through, static):.2f} of a static file of its size (goals {GOAL}; {machine()})"
    )


def _seeded(data: Path) -> str:
    """A shop in a data folder of its own; the path of its largest category."""
    environment = {**os.environ, "STAMPEDE_DATA": str(data), "DJANGO_SETTINGS_MODULE": "config.settings"}
    for command in (
        ["migrate", "-v0"],
        ["collectstatic", "--noinput", "-v0"],
        ["seed_shop", "--products", str(PRODUCTS), "--without-pictures", "-v0"],
    ):
        subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True)
    asked = "from shop import catalogue; print(max(catalogue.categories(), key=lambda one: one.products).slug)"
    said = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", asked],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return f"/shop/c/{said.stdout.split()[-1]}/"


def _size(url: str) -> int:
    with urlopen(url, timeout=30) as answer:
        return len(answer.read())


if __name__ == "__main__":
    main()
