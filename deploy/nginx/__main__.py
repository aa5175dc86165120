"""Writes nginx's files for a server: `python -m deploy.nginx FOLDER --listen …`, see docs/operations.md."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from deploy import nginx


def main() -> None:
    options = vars(_arguments().parse_args())
    limits = nginx.Limits(**{one.name: options.pop(one.name) for one in fields(nginx.Limits)})
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() & {"hosts", "behind", "internal_networks"}:
        given[name] = tuple(given[name])
    try:
        conf = nginx.write(given.pop("folder"), limits=limits, **given)
    except nginx.CannotWrite as error:
        sys.exit(str(error))
    sys.stdout.write(" ".join(nginx.command(conf)) + "\n")


def _arguments() -> argparse.ArgumentParser:
    asked = argparse.ArgumentParser(prog="python -m deploy.nginx", description="Writes nginx's files for a server.")
    asked.add_argument("folder", type=Path, help="for the files, the cache and what nginx writes")
    asked.add_argument("--listen", required=True, help="host:port for the public")
    asked.add_argument("--internal", required=True, help="host:port for operators")
    asked.add_argument("--upstream", required=True, help="host:port of gunicorn")
    asked.add_argument("--static-root", required=True, type=Path, help="where collectstatic writes")
    asked.add_argument("--media-root", type=Path, help="where seed_shop writes; beside --static-root unless named")
    asked.add_argument("--host", dest="hosts", action="append", help="a name that is answered; repeat it")
    asked.add_argument("--behind", action="append", help="a network of balancers; repeat it")
    asked.add_argument("--internal-network", dest="internal_networks", action="append", help="of operators; repeat it")
    asked.add_argument("--workers", type=int, help="one for each core")
    asked.add_argument("--user", help="of the workers, when root starts nginx")
    asked.add_argument("--logs", type=Path)
    asked.add_argument("--pid", type=Path)
    asked.add_argument("--descriptors", type=int, help="of one worker")
    asked.add_argument("--connections", type=int, default=nginx.Limits().connections, help="of one address; 0: any")
    asked.add_argument("--requests-per-second", type=int, default=nginx.Limits().requests_per_second, help="likewise")
    asked.add_argument("--burst", type=int, default=nginx.Limits().burst, help="requests beyond that, at once")
    return asked


if __name__ == "__main__":
    main()
