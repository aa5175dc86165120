"""The two brokers of the contract, each with workers that write down what they did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery

from tests.contracts import notebook, sqs_servers
from tests.deadline import until

ROOT = Path(__file__).resolve().parents[2]
VISIBILITY = 3  # seconds
RECEIVES = 3
_ALONE = ("--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass
class Broker:
    """A broker, an application that publishes to it, and the folder where workers write."""

    folder: Path
    settings: dict[str, Any]
    endpoint: str = ""
    app: Celery = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.app = notebook.application(self.settings)

    @property
    def prefix(self) -> str:
        """What the names of its queues begin with; of a broker in SQS only."""
        return str(self.settings["broker_transport_options"]["queue_name_prefix"])

    def publish(self, task: str, *arguments: Any) -> str:
        return str(self.app.tasks[f"notebook.{task}"].delay(*arguments).id)

    def written(self, page: str = "done") -> Counter[int]:
        path = self.folder / page
        return Counter(int(line) for line in path.read_text().split()) if path.exists() else Counter()

    @contextmanager
    def worker(self, **other: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A worker that is ready. `other`: settings that differ."""
        log = self.folder / f"worker-{len(list(self.folder.glob('worker-*')))}.log"
        broker = json.dumps({**self.settings, **other})
        environment = {**os.environ, **sqs_servers.NO_ACCOUNT, "NOTEBOOK": str(self.folder), "NOTEBOOK_BROKER": broker}
        command = [sys.executable, "-m", "celery", "-A", "tests.contracts.notebook", "worker", "--pool", "threads"]
        command += ["--concurrency", "4", *_ALONE, "--loglevel", "INFO"]
        with open(log, "wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            until(lambda: b" ready." in log.read_bytes() or process.poll(), "the worker is ready")
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            kill(process)

    def log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("worker-*")))

    def close(self) -> None:
        self.app.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def stop(process: subprocess.Popen[bytes]) -> int:
    """SIGTERM, as a supervisor does. Returns the exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def folder(path: Path) -> Broker:
    for name in ("messages", "control"):
        (path / name).mkdir(parents=True, exist_ok=True)
    options = {
        "data_folder_in": str(path / "messages"),
        "data_folder_out": str(path / "messages"),
        "control_folder": str(path / "control"),
        "polling_interval": 0.1,
    }
    transport = "config.folder_broker:Transport"
    return Broker(path, _broker("folder://localhost", transport, options))


def sqs(path: Path, endpoint: str, *, prefix: str, wait: int = 2) -> Broker:
    options = {
        "region": sqs_servers.REGION,
        "is_secure": False,
        "queue_name_prefix": prefix,
        "make_queues": True,
        "wait_time_seconds": wait,
        "polling_interval": 0.1,
        "visibility_timeout": VISIBILITY,
        "receives": RECEIVES,
        "client-config": {"connect_timeout": 2, "read_timeout": 25, "retries": {"mode": "standard"}},
    }
    host = endpoint.removeprefix("http://")
    return Broker(path, _broker(f"sqs://{host}", "config.sqs:Transport", options), endpoint)


def _broker(url: str, transport: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"broker_url": url, "broker_transport": transport, "broker_transport_options": options}


def lengths(broker: Broker) -> dict[str, int]:
    """How many messages are in each queue of the broker, held ones included."""
    client = sqs_servers.client(broker.endpoint)
    found = {}
    for address in client.list_queues(QueueNamePrefix=broker.prefix).get("QueueUrls", []):
        held = client.get_queue_attributes(QueueUrl=address, AttributeNames=["All"])["Attributes"]
        found[address.rpartition("/")[2].removeprefix(broker.prefix)] = sum(
            int(held[f"ApproximateNumberOfMessages{which}"]) for which in ("", "NotVisible", "Delayed")
        )
    return found
