"""How fast is the page of a category beside the same page of django-oscar, with the same 1,250 products?

Both run under the product's gunicorn settings with one worker, on SQLite with the same settings. Ours is asked for as
visitors do, which the page cache answers, and once more with a filter that nobody has used before, so that each page is
rendered. Oscar keeps no pages: each has the visitor's own basket and CSRF token in it.

python -m bench.category_vs_oscar [rounds] [seconds]
"""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench import oscars_venv
from bench.side_by_side import ROOT, gunicorn, machine, rates, ratio, serving

GOAL = 20
PRODUCTS = 1_250
ON_A_PAGE = 24
# Of deploy/gunicorn.conf.py, which itself imports what Oscar's venv has not.
SAME = (
    "worker_class", "threads", "backlog", "keepalive", "graceful_timeout", "timeout", "max_requests", "preload_app",
    "accesslog", "errorlog", "loglevel", "control_socket_disable",
)  # fmt: skip


def main() -> None:
    rounds, seconds = (float(value) for value in (*sys.argv[1:], *("5", "10")[len(sys.argv) - 1 :]))
    python = oscars_venv.python()
    with tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder:
        data, theirs = Path(folder) / "data", Path(folder) / "oscar"
        catalogue = filled_shop(data, PRODUCTS)
        at_oscar = filled_oscar(python, theirs, catalogue, pictures=data / "media")
        with gunicorn("config.wsgi:application", data=data) as product, oscar(python, theirs) as other:
            found = rates(contenders(product, other + at_oscar, catalogue, theirs), rounds=int(rounds), seconds=seconds)
    kept, rendered, theirs_ = found
    print(f"machine: {machine()}")
    print(f"a kept page of a category: {ratio(kept, theirs_):.0f} times the rate of django-oscar's (goal {GOAL})")
    print(f"one that is rendered: {ratio(rendered, theirs_):.1f} times")
    if ratio(kept, theirs_) < GOAL:
        sys.exit(1)


def contenders(product: str, at_oscar: str, catalogue: dict[str, Any], folder: Path) -> dict[str, list[str]]:
    """What wrk is told, once both pages have been seen to be the same."""
    ours = f"{product}/shop/c/{catalogue['categories'][_fullest(catalogue)]}/"
    for url in (ours, at_oscar):
        _shows_the_category(url, catalogue)
    return {
        "category, kept": [ours],
        "category, rendered": ["--timeout", "30s", "-s", str(_filters_never_used(folder)), ours],
        "django-oscar": ["--timeout", "30s", at_oscar],
    }


def filled_shop(data: Path, products: int) -> dict[str, Any]:
    """What `bench.filled_shop` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.filled_shop", str(products)],
        cwd=ROOT,
        env={**os.environ, "STAMPEDE_DATA": str(data), "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _fullest(catalogue: dict[str, Any]) -> str:
    names = [product["category"] for product in catalogue["products"]]
    return max(sorted(set(names)), key=names.count)


def filled_oscar(python: Path, folder: Path, catalogue: dict[str, Any], *, pictures: Path) -> str:
    """The path of the category at Oscar."""
    for name in {product["picture"] for product in catalogue["products"]}:
        (folder / "media" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(pictures / name, folder / "media" / name)
    (folder / "catalogue.json").write_text(json.dumps(catalogue))
    command = [str(python), "-m", "bench.oscar_shop.fill", str(folder / "catalogue.json"), _fullest(catalogue)]
    done = subprocess.run(command, cwd=ROOT, env=_environment(folder), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def oscar(python: Path, folder: Path) -> Iterator[str]:
    """Yields its URL."""
    ours = runpy.run_path(str(ROOT / "deploy" / "gunicorn.conf.py"))
    conf = folder / "gunicorn.conf.py"
    conf.write_text("".join(f"{name} = {ours[name]!r}\n" for name in SAME))
    command = [str(python), "-m", "gunicorn", "-c", str(conf), "--workers", "1", "bench.oscar_shop.wsgi:application"]
    with serving(command, environment=_environment(folder)) as url:
        yield url


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of ours: neither settings nor paths of our venv."""
    return {
        "PATH": os.environ["PATH"],
        "OSCAR_DATA": str(folder),
        "DJANGO_SETTINGS_MODULE": "bench.oscar_shop.settings",
    }


def _filters_never_used(folder: Path) -> Path:
    """A script for wrk: upper prices that leave every product on the page, each asked for once."""
    script = folder / "filters.lua"
    script.write_text(
        "local at = 100000 + os.time() * 1000 % 800000\n"  # each round begins where none has been
        "request = function() at = at + 1; return wrk.format('GET', wrk.path .. '?high=' .. at) end\n"
    )
    return script


def _shows_the_category(url: str, catalogue: dict[str, Any]) -> None:
    """A page of 24 products of the category with a picture each, and of no other."""
    category, shelf = _fullest(catalogue), {product["slug"]: product["category"] for product in catalogue["products"]}
    with urlopen(url, timeout=60) as answer:
        page = answer.read().decode()
    shown = {slug for slug in shelf if f"/{slug}/" in page or f"/{slug}_" in page}
    pictures = {source for source in re.findall(r'<img[^>]* src="([^"]+)"', page) if "/media/" in source}
    if len(shown) != ON_A_PAGE or {shelf[slug] for slug in shown} != {category} or len(pictures) < ON_A_PAGE:
        sys.exit(f"{url} shows {len(pictures)} pictures and the products {sorted(shown)}")
    print(f"{url}: {len(shown)} of {list(shelf.values()).count(category)} products, {len(page):,} characters")


if __name__ == "__main__":
    main()
