"""The process that conducts a run: `python -m loadtests.running.conductor`. It drives nobody itself.

Its order (plan, links, folder) is the first JSON line of its standard input; what follows there are commands:
{"begin": moment of time.time()}, {"stop": why, "at_once": bool}. When that input ends, whoever ordered the run is gone,
and with them the probes and the bystander: everybody leaves. On standard output it says what happens, a JSON line each:
"ready", "progress" (each second), "event", and at last "over". Frames go to `frames.jsonl` as they come.

SIGINT: no more arrivals, those present finish. A second SIGINT, or a SIGTERM: everybody leaves at once.
"""

# Importing locust patches the standard library, so it comes before everything else.
import locust  # noqa: F401  isort: skip

import json
import os
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.fileobject import FileObject
from locust.runners import STATE_MISSING

from loadtests.crowd import NOT_KEPT
from loadtests.frames import Frame
from loadtests.judgement.windows import Watching
from loadtests.plans import Plan
from loadtests.running.crew import Crew, Member
from loadtests.running.framefile import FrameFile
from loadtests.running.leases import GIVEN_AWAY_SECONDS
from loadtests.running.listening import anywhere, first_free
from loadtests.running.sealed import UNHEARD, BadSeal, Conversation
from loadtests.running.shares import links_for
from loadtests.running.staff import Staff
from loadtests.running.totals import Totals, WholeSeconds

LOOK_SECONDS = 0.05
JOIN_SECONDS = 60.0  # so long workers may take to join before the run is given up
LEAVE_SECONDS = 20.0  # so long a worker may take to leave after it was told to
GONE_SECONDS = 15.0  # who has asked for no lease so long is gone, whatever their heart does


class Conductor:
    def __init__(self, order: dict[str, Any]) -> None:
        self.plan = Plan.from_json(order["plan"])
        self._order = order
        self._key = bytes.fromhex(order["key"])
        self._arrivals = self.plan.arrivals()
        self._crew = Crew(slots=order["local"] + order["remote"])
        self._talks: dict[str, Conversation] = {}
        self._totals = Totals(planned=self.plan.users, slots=self._crew.slots)
        self._file = FrameFile(Path(order["run_dir"]))
        self._watching = Watching(self.plan.limits, self.plan.phases())
        self._whole = WholeSeconds()
        self._began: float | None = None
        self._begin = Event()
        self._over = False  # what comes later is not kept
        self._stopped: tuple[str, bool] | None = None
        ports = [order["port"]] if order["port"] else anywhere()
        self._runner = first_free(order["bind"], ports=ports, say=lambda text: say("event", text=text))
        for kind in ("knock", "hello", "refused", "lease", "ready", "frame", "done"):
            self._runner.register_message(f"lab.{kind}", partial(self._heard, kind))
        self._staff = Staff(port=self._runner.server.port, key=self._key)

    # The run

    def run(self) -> None:
        for _ in range(self._order["local"]):
            self._staff.hire()
        say("listening", port=self._runner.server.port)
        try:
            if self._gather():
                say("ready")
                self._begin.wait()
                self._conduct()
        finally:
            self._over = True
            self._file.close()
            seconds = self.elapsed
            self._runner.send_message("quit")  # to whoever waits for a slot elsewhere
            self._staff.dismiss()
        if self._file.lost:
            say("event", text=f"{self._file.lost} lines could not be kept: {self._file.full}")
        why, _ = self._stopped or ("plan", False)
        say("over", ended_by=why, seconds=seconds, workers=self._crew.as_json())

    @property
    def elapsed(self) -> float:
        return 0.0 if self._began is None else time.monotonic() - self._began

    def stop(self, why: str, *, at_once: bool) -> None:
        """No more arrivals, those present finish; at once: they leave. What was stopped once is only made sooner."""
        if self._stopped and (self._stopped[1] or not at_once):
            return
        self._stopped = (why, at_once)
        self._totals.draining = True
        self._left_by = time.monotonic() + LEAVE_SECONDS
        say("event", text=f"{why}: {'everybody leaves' if at_once else 'no more arrivals'}")
        for member in self._crew.working():
            self._tell(member, "stop", {"why": why, "at_once": at_once})
        if self._began is None:
            self._begin.set()

    def interrupt(self) -> None:
        if self._stopped:
            self.stop("second interrupt", at_once=True)
        else:
            self.stop("interrupt", at_once=False)

    def begin(self, moment: float) -> None:
        """The run's second 0, of time.time()."""
        self._began = time.monotonic() + (moment - time.time())
        for member in self._crew.working():
            self._tell(member, "begin", {"in": -self.elapsed, "after": -1.0})
        self._begin.set()

    def _gather(self) -> bool:
        until = time.monotonic() + JOIN_SECONDS
        while not self._crew.all_ready():
            gevent.sleep(LOOK_SECONDS)
            if self._stopped:
                return False
            if time.monotonic() > until:
                self.stop("not all workers joined", at_once=True)
                return False
            if self._staff.died():
                self.stop("a worker died before the run began", at_once=True)
                return False
        return True

    def _conduct(self) -> None:
        if self._began is None:
            return
        told = 0
        while not self._crew.all_done():
            gevent.sleep(LOOK_SECONDS)
            self._look_after_the_crew()
            if self._file.full:
                self.stop(self._file.full, at_once=True)
            if self.elapsed > self._arrivals[-1].moment:
                self._crew.give_up_free_slots()  # nobody is left for whoever might still join
            if self.elapsed > self.plan.hard_stop_seconds:
                self.stop("hard stop", at_once=True)
            if self._stopped and self._stopped[1] and time.monotonic() > self._left_by:
                break
            if self.elapsed >= told + 1:
                told = int(self.elapsed)
                say("progress", progress=self._totals.progress(self.elapsed))
        say("progress", progress=self._totals.progress(self.elapsed))

    # Workers that die, and who comes in their place

    def _look_after_the_crew(self) -> None:
        for process in self._staff.died():
            self._lose(self._crew.by_pid(process.pid), f"its process ended with {process.returncode}")
        now = time.monotonic()
        for member in self._crew.working():
            silent = now - member.leased
            if silent > (GIVEN_AWAY_SECONDS if self._is_missing(member) else GONE_SECONDS):
                self._lose(member, "it was not heard of any more")

    def _is_missing(self, member: Member) -> bool:
        """By Locust's heartbeats, which somebody else could send for it."""
        client = self._runner.clients.get(member.client)
        return client is None or client.state == STATE_MISSING

    def _lose(self, member: Member | None, why: str) -> None:
        if member is None or not self._crew.lose(member, elapsed=self.elapsed):
            return
        self._staff.end(member.pid if member.local else 0)
        self._tell(member, "lost", {})  # if it comes back, it is to know; and whenever it asks
        say("event", text=f"worker {member.number} was lost after {self.elapsed:.1f} s: {why}")
        to_come = not self._stopped and bool(member.share.of(self._arrivals, after=self.elapsed))
        if self._crew.wants_replacement(member.slot, arrivals_to_come=to_come) and member.local:
            self._staff.hire()

    # Messages

    def _heard(self, kind: str, *, environment: Any, msg: Any) -> None:
        client = str(msg.node_id)
        if kind == "knock":
            if self._crew.by_client(client):
                return  # who has a share has talked before: this is somebody else
            nonce = os.urandom(16)
            self._talks[client] = Conversation(key=self._key, nonce=nonce, client=client, is_worker=False)
            self._runner.send_message("lab.who", {"nonce": nonce}, client_id=client)
            return
        talk, member = self._talks.get(client), self._crew.by_client(client)
        if talk is None:
            return
        try:
            content = talk.hear(kind, msg.data)
        except BadSeal as error:
            say("event", text=f"a worker was not listened to: {error}")
            if member is None:
                self._runner.send_message("quit", client_id=client)
            return
        if kind == "hello" and member is None:
            self._welcome(client, content)
        elif member is not None:
            self._notice_gaps(member, talk)
            (self._report_late if member.lost else self._report)(kind, member, content)

    def _welcome(self, client: str, content: Any) -> None:
        """Whoever holds the key and finds a slot free gets its share; others are sent away."""
        member = None
        if not self._stopped:
            member = self._crew.join(
                client=client,
                host=str(content["host"]),
                pid=self._staff.pid_of(str(content["token"])),
                elapsed=max(0.0, self.elapsed),
                now=time.monotonic(),
            )
        if member is None:
            self._runner.send_message("quit", None, client_id=client)
            return
        order = {name: self._order[name] for name in ("plan", "run_dir", "run_id", "mark", "address")}
        links = links_for(member.share, self._arrivals, self._order["links"], scenario="purchase")
        self._tell(member, "order", {**order, "share": member.share.as_json(), "links": links})

    def _report(self, kind: str, member: Member, content: Any) -> None:
        match kind:
            case "refused":
                self.stop(f"worker {member.number} refuses: {content['why']}", at_once=True)
            case "lease":
                member.leased = time.monotonic()
                self._tell(member, "lease", content)
            case "ready":
                self._ready(member)
            case "frame":
                self._keep(content)
            case "done":
                self._crew.done(member, elapsed=self.elapsed)
                self._tell(member, "bye", {})

    def _report_late(self, kind: str, member: Member, content: Any) -> None:
        """Of a worker whose slot was given away. What it has done at the target was done; whom it did not let in is not
        for it to say, whoever took over has perhaps."""
        match kind:
            case "lease":
                self._tell(member, "lost", {})
            case "frame":
                self._keep({**content, "frame": {**content["frame"], "unmet": {}}})
            case "done":
                self._tell(member, "bye", {})

    def _keep(self, content: Any) -> None:
        if self._over:
            return
        frame = Frame.from_json(content["frame"])
        self._file.append(content["frame"], content["evidence"])
        self._totals.add(frame)
        self._judge(frame)
        for note in frame.notes:
            if note.startswith(NOT_KEPT):
                self.stop(note, at_once=True)

    def _notice_gaps(self, member: Member, talk: Conversation) -> None:
        """A message that never came may have been a frame: the figures are not whole."""
        if not talk.missed:
            return
        text = f"{UNHEARD} {member.number}"
        say("event", text=f"{text}: {talk.missed}")
        note = Frame(at=max(0, int(self.elapsed)), worker=member.number, notes=Counter({text: talk.missed}))
        talk.missed = 0
        if not self._over:
            self._file.append(note.as_json(), ())

    def _judge(self, frame: Frame) -> None:
        """Limits that stop the run, as far as answers and generators can tell; probes speak at the end."""
        for second in self._whole.add(frame, working=len(self._crew.working())):
            for broken in self._watching.take(second):
                self.stop(f"limit broken: {broken.limit.text} ({broken.detail})", at_once=False)

    def _ready(self, member: Member) -> None:
        """A replacement begins with the first visitor who is still to come, and not before."""
        if self._began is not None:
            self._tell(member, "begin", {"in": -self.elapsed, "after": self.elapsed})
            say("event", text=f"worker {member.number} takes over slot {member.slot} after {self.elapsed:.1f} s")
        self._crew.ready(member)

    def _tell(self, member: Member, kind: str, content: Any) -> None:
        self._runner.send_message(f"lab.{kind}", self._talks[member.client].say(kind, content), client_id=member.client)


def say(kind: str, **content: Any) -> None:
    """Said to whoever ordered the run; when nobody listens any more, the end of their input tells as much."""
    try:
        print(json.dumps({"kind": kind, **content}), flush=True)  # noqa: T201
    except OSError:
        sys.stdout = None


def obey(conductor: Conductor, lines: Any) -> None:
    """The commands of whoever ordered the run, to the end of their input."""
    for line in lines:
        command = json.loads(line)
        if "begin" in command:
            conductor.begin(float(command["begin"]))
        if "stop" in command:
            conductor.stop(str(command["stop"]), at_once=bool(command.get("at_once")))
    conductor.stop("whoever ordered the run is gone", at_once=True)


def main() -> None:
    lines = FileObject(sys.stdin.fileno(), "rb", close=False)
    conductor = Conductor(json.loads(lines.readline()))
    gevent.signal_handler(signal.SIGINT, conductor.interrupt)
    gevent.signal_handler(signal.SIGTERM, partial(conductor.stop, "termination", at_once=True))
    gevent.spawn(obey, conductor, lines)
    conductor.run()


if __name__ == "__main__":
    main()
