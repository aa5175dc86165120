"""How many calls of SQS do 1,000 signups cost, with both mails of each? The goal is 30.

python -m bench.sqs_calls [people] [seconds]
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from bench.side_by_side import ROOT, machine
from config.serving import free_port
from tests.contracts import sqs_servers

GOAL = 30.0  # calls per 1,000 signups
CLIENTS = 8
LONGEST = 120  # seconds until the last mail is there
LATE = 1.25  # signups that took so many times as long as they should: the machine was busy with something else


def main() -> None:
    people, seconds = (int(value) for value in (*sys.argv[1:], *("1000", "20")[len(sys.argv) - 1 :]))
    if missing := sqs_servers.missing():
        sys.exit(f"This measurement needs the SQS server: {missing}.")
    with (
        tempfile.TemporaryDirectory(prefix="stampede-bench-") as folder,
        sqs_servers.server() as server,
        sqs_servers.proxy(server) as proxy,
        served(Path(folder), proxy.endpoint) as url,
    ):
        sign_up(url, ["first@load.test"], 0)  # the clock looks for its queue once
        wait_for_mails(Path(folder), 2)
        proxy.calls.clear()
        begun = time.monotonic()
        sign_up(url, [f"bench{number}@load.test" for number in range(people)], seconds)
        signed_up = time.monotonic() - begun
        wait_for_mails(Path(folder), 2 + 2 * people)
        took = time.monotonic() - begun
        time.sleep(2)  # the last deletes
        calls = Counter(proxy.calls)
    tell(calls, people=people, signed_up=signed_up, took=took)
    if signed_up > LATE * seconds:
        sys.exit(f"The machine was too busy to sign up {people:,} people in {seconds} s; this says nothing.")
    if sum(calls.values()) * 1000 / people > GOAL:
        sys.exit("The goal is missed.")


@contextmanager
def served(data: Path, endpoint: str) -> Iterator[str]:
    """The whole application with its broker in SQS; invites faster than people come. Yields its address."""
    environment = {**sqs_servers.environment(endpoint, data), "STAMPEDE_SIGNUPS_PER_MINUTE": "0"}
    manage = [sys.executable, "manage.py"]
    pace = ["--batch-size", "200", "--batch-interval", "1", "--total-cap", "10000000"]
    for command in (["migrate", "-v0"], ["seed_sale", *pace]):
        subprocess.run([*manage, *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    with open(data / "serve.log", "wb") as log:
        command = [*manage, "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        while "Ctrl-C stops it" not in (data / "serve.log").read_text():
            if process.poll() is not None:
                sys.exit((data / "serve.log").read_text())
            time.sleep(0.2)
        time.sleep(8)  # until the worker asks for messages and the chain's load is known
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def sign_up(url: str, emails: list[str], seconds: float) -> None:
    """Evenly over so many seconds; raises when somebody is refused."""
    begun = time.monotonic()

    def one(number: int) -> None:
        time.sleep(max(0.0, begun + number * seconds / len(emails) - time.monotonic()))
        body = json.dumps({"email": emails[number]}).encode()
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        with urlopen(Request(f"{url}/signup/", body, headers), timeout=30) as response:
            if response.status != 202:
                raise RuntimeError(f"signup {number} was answered with {response.status}")

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(len(emails))))


def wait_for_mails(data: Path, count: int) -> None:
    deadline, arrived = time.monotonic() + LONGEST, data / "mail" / "new"
    while not arrived.exists() or len(os.listdir(arrived)) < count:
        if time.monotonic() > deadline:
            sys.exit(f"not {count} mails within {LONGEST} s")
        time.sleep(0.2)


def tell(calls: Counter[str], *, people: int, signed_up: float, took: float) -> None:
    total = sum(calls.values())
    for action, count in calls.most_common():
        print(f"{action:<28}{count:>6}")
    per_thousand = total * 1000 / people
    print(
        f"{total} calls of SQS for {people:,} signups in {signed_up:.0f} s and their {2 * people:,} mails, the last of "
        f"them after {took:.0f} s: {per_thousand:.1f} per 1,000 signups, goal {GOAL:g} ({machine()})"
    )


if __name__ == "__main__":
    main()
