"""Who speaks to a conductor beside its workers: one that was given up and comes back, and people without a key."""

import re
import signal
import socket
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
import zmq

from loadtests.running import sealed
from tests.deadline import until

from ..small_sale import Answer, SmallSale, right, serving
from .conducting import Run, accounted, dismiss, hire, plan_at

pytestmark = pytest.mark.process


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_a_worker_that_was_given_up_and_comes_back_lets_nobody_in_and_its_visitors_leave(run_dir: Path) -> None:
    """Stopped for as long as it takes to be given up; it goes on when somebody else has its slot."""
    hired: list[subprocess.Popen[bytes]] = []
    took_over = threading.Event()

    def script(method: str, path: str, form: dict[str, str], sale: SmallSale) -> Answer:
        if ".w2." in form.get("email", ""):
            took_over.set()
        return right(method, path, form, sale)

    def stop_and_go_on() -> None:
        hired[0].send_signal(signal.SIGSTOP)
        until(lambda: any("was lost after" in event for event in run.events), "it was given up")
        hired.append(hire(run))
        until(took_over.is_set, "somebody else has its slot")
        hired[0].send_signal(signal.SIGCONT)
        until(lambda: hired[0].poll() is not None, "it leaves")
        run.stop()

    with serving(script) as sale:
        beside = threading.Thread(target=stop_and_go_on)
        # They stay six seconds: whoever was there when it was stopped has much to ask when it goes on.
        plan = plan_at(sale.url, users=4000, time_scale=0.02)
        run = Run(plan, run_dir, lambda run: beside.start(), local=0, remote=1)
        try:
            measured = run.go(lambda run: hired.append(hire(run)))
            beside.join()
        finally:
            for process in hired:
                dismiss(process)
        emails, requests = list(sale.emails), sum(sale.requests.values())
    assert hired[0].returncode == 0, "it left by itself"
    drivers = defaultdict(set)
    for email in emails:
        index, worker = re.match(r"visitor-(\d+)\.w(\d+)\.", email).groups()  # type: ignore[union-attr]
        drivers[worker].add(int(index))
    assert max(drivers["1"]) < min(drivers["2"]), "nobody was let in by who had lost the slot"
    assert [worker["lost"] for worker in measured["workers"]] == [True, False]
    who = measured["visitors"]
    assert accounted(who), who
    assert who["lost"] > 0
    assert who["cut_off"] == 0
    assert requests <= measured["sent"], "what the lost one had asked is in the record"


def test_messages_of_strangers_take_nothing_from_a_run(run_dir: Path) -> None:
    """What Locust does not survive, rubbish, somebody else's name, and a worker of another machine that claims to be
    one of this."""

    def chatter(run: Run) -> None:
        worker = run.workers()[0]
        talk: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        talk.setsockopt(zmq.RCVTIMEO, 60_000)  # ms: a conductor that has stopped listening fails the test
        talk.setsockopt(zmq.IDENTITY, b"stranger")
        talk.connect(f"tcp://127.0.0.1:{run.port}")
        said: list[Any] = [("client_ready", -1), ("heartbeat", None), ("heartbeat", {"state": []})]
        for kind, content in [*said, ("locustfile", None), (7, None)]:
            talk.send(msgpack.dumps((kind, content, "stranger")))
        talk.send(msgpack.dumps(("quit", None, "somebody else")))
        talk.send(msgpack.dumps("two"))
        talk.send(b"\xc1")
        talk.send(b"")
        forged = sealed.Conversation(key=b"another", nonce=b"n", client="stranger", is_worker=True)
        talk.send(msgpack.dumps(("lab.knock", None, "stranger")))
        who = msgpack.loads(talk.recv())
        while who[0] != "lab.who":
            who = msgpack.loads(talk.recv())
        talk.send(msgpack.dumps(("lab.hello", forged.say("hello", {"host": "h", "token": "t"}), "stranger")))
        while msgpack.loads(talk.recv())[0] != "quit":
            pass
        late = hire(run, token=str(worker.pid))
        late.wait()
        dismiss(late)
        talk.close(0)
        through.append(True)

    def chatter_and_stop(run: Run) -> None:
        try:
            chatter(run)
        finally:
            run.stop()

    through: list[bool] = []
    with serving() as sale:
        beside: list[threading.Thread] = []

        def meanwhile(run: Run) -> None:
            beside.append(threading.Thread(target=chatter_and_stop, args=(run,)))
            beside[0].start()

        run = Run(plan_at(sale.url, users=4000), run_dir, meanwhile)
        measured = run.go()
        beside[0].join()
    assert through
    assert measured["ended_by"] == "the test has seen enough"
    assert [worker["lost"] for worker in measured["workers"]] == [False]
    who = measured["visitors"]
    assert accounted(who), who
    assert who["finished"] == who["arrived"] > 0
    assert any("not understood" in event for event in run.events)
    assert any("not listened to" in event for event in run.events)


def test_a_run_finds_a_port_when_the_first_is_held() -> None:
    """In a process of its own, as Locust patches the one that imports it."""
    with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("127.0.0.1", 0)) as freed:
        ports = [held.getsockname()[1], freed.getsockname()[1]]
        freed.close()
        code = (
            "from loadtests.running import listening; print(list(listening.anywhere())[0]);"
            f"print(listening.first_free('127.0.0.1', ports={ports}, say=print).server.port)"
        )
        command = [sys.executable, "-c", code]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=90).stdout.split()
    assert said == ["0", str(ports[1])]
