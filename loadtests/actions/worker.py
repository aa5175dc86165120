"""One generator more, for a run that another machine conducts."""

import json
import os
import signal
import subprocess
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from rich.console import Console

from loadtests.runs import KEY, RunRefused

NAME = "worker"
HELP = "drive a share of a run that `loadtest run --workers` conducts, here or on another machine"


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--master", type=address, required=True, metavar="HOST:PORT", help="where it is conducted")


def handle(options: dict[str, Any], console: Console) -> int:
    key = os.environ.get(KEY, "")
    if not key:
        raise RunRefused(f"a worker proves itself with {KEY}: set it to the secret of whoever conducts the run")
    host, port = options["master"]
    command = [sys.executable, "-m", "loadtests.running.worker", host, str(port)]
    process = subprocess.Popen(command, cwd=settings.BASE_DIR, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603
    if process.stdin is not None:
        process.stdin.write(json.dumps({"key": key.encode().hex()}).encode() + b"\n")
        process.stdin.flush()  # and stays open: its end tells the worker that we are gone
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: process.terminate())
    console.print(f"worker of {host}:{port}; Ctrl-C lets everybody leave", soft_wrap=True)
    return process.wait()


def address(text: str, *, lowest_port: int = 1) -> tuple[str, int]:
    """HOST:PORT. Raises `ArgumentTypeError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not lowest_port <= int(port) < 65_536:
        raise ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
