"""Visitors, driven: thousands of journeys in one thread, each a generator that sleeps in a heap or waits on a socket.

A sleeping visitor costs its generator's frames, an entry in the heap and a kept connection, no stack. Nothing here
imports gevent, Locust or Django; a greenlet can wait for `fileno()` and call `turn(0)`.

Two clocks stand beside each request. *Service* runs from the moment it is asked, connecting included, to its last byte.
*Intended* runs from the moment at which it would have been asked, had nobody been kept waiting: the intended start of
the step before + what that was expected to take + the thinking in between. Who is early begins when they begin.
"""

import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any

from loadtests.browsing.reading import Codings, Garbled, Reader
from loadtests.browsing.visits import Exchange, Group, Session, sentence, unexpected, without_tokens
from loadtests.browsing.wire import Connection, Unsendable, request_bytes
from loadtests.browsing.wires import Wires, shortage
from loadtests.frames import Recorder
from loadtests.steps import Answer, Ending, GaveUp, Journey, Outcome, Step, Think, Together
from loadtests.target import Target

EXPECTED_SECONDS = 0.1
# The kernel's timer for us counts in milliseconds and rounds up. What is due within half of one is done now: on the
# average nobody is late by it.
_EARLY = 0.0005
_AT_ONCE = 100  # visitors woken up before the target is heard again
# A kept connection may have been closed while our request was on its way: that end comes at once. Later, or more often
# than so, it is no coincidence: the target had the request, and died on it.
_CROSSED_SECONDS = 0.05
_CROSSED_FREE, _CROSSED_SHARE = 10, 0.01
AGAIN = "asked again on a new connection"


class Engine:
    """All visitors of one generator process. Times are seconds since the run began, by the recorder's clock."""

    def __init__(
        self,
        *,
        target: Target,
        recorder: Recorder,
        request_timeout: float,
        connections: int,
        time_scale: float,
        expected: Mapping[str, float],
        sources: Sequence[str] = (),
    ) -> None:
        self._recorder = recorder
        self._clock = recorder.clock
        self._host = target.authority
        self._timeout = request_timeout
        self._width = connections
        self._time_scale = time_scale
        self._expected = expected
        self._otherwise = expected.get("*", EXPECTED_SECONDS)
        self._wires = Wires(target=target, owner=self, clock=self._clock, sources=sources)
        self._codings = Codings()
        self._sessions: set[Session] = set()
        self._heap: list[tuple[float, int, Any]] = []  # a call, or the session that wakes up
        self._numbers = count()
        # All requests have the same time to be answered, so their ends come in the order of their beginnings.
        self._timeouts: deque[tuple[float, Connection, int]] = deque()
        self._soon: deque[Exchange] = deque()
        self._explained = False
        self._asked = self._crossed = 0

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._wires)

    @property
    def present(self) -> int:
        return len(self._sessions)

    def begin(self, journey: Journey, *, scenario: str, intended: float, done: Callable[[Ending], None]) -> None:
        """A visitor arrives, who was to arrive at `intended`. Arrival and ending are recorded here; `done` is called
        at the end, never from within this call."""
        self._recorder.arrived(scenario=scenario, late_seconds=max(0.0, self._clock() - intended))
        session = Session(journey, scenario, done, due=intended)
        self._sessions.add(session)
        heappush(self._heap, (intended, next(self._numbers), session))

    def at(self, moment: float, call: Callable[[], object]) -> None:
        """At that moment of the run, or as soon after it as there is time."""
        heappush(self._heap, (moment, next(self._numbers), call))

    def fileno(self) -> int:
        """Readable when `turn` has something to do before its next moment."""
        return self._wires.fileno()

    def next_moment(self) -> float | None:
        """When `turn` has to be called at the latest; None: nothing is planned."""
        moments = [self._heap[0][0] - _EARLY] if self._heap else []
        timeouts = self._timeouts
        while timeouts and timeouts[0][1].serial != timeouts[0][2]:
            timeouts.popleft()
        if timeouts:
            moments.append(timeouts[0][0])
        if self._soon:
            moments.append(self._clock())
        return min(moments, default=None)

    def turn(self, timeout: float) -> None:
        """One pass: wait for the target, at most so long (seconds), take what came, wake who is due."""
        due = self.next_moment()
        if due is not None:
            timeout = min(timeout, due - self._clock())
        self._wires.turn(timeout)
        self._wake()
        self._give_up_waiting()
        while self._soon:
            self._failed(self._soon.popleft())

    def leave_all(self, ending: Ending) -> None:
        """Everybody leaves at once, wherever they are."""
        for session in list(self._sessions):
            self._leave(session, ending)

    def close(self) -> None:
        self.leave_all(Ending.CUT_OFF)
        self._wires.close()

    # Time.

    def _wake(self) -> None:
        heap, now = self._heap, self._clock()
        if not heap or heap[0][0] > now + _EARLY:
            return
        lag = self._recorder.frame.lag
        # Some of those due now, and none that they plan for now: the target is to be heard in between.
        due: list[Any] = []
        while heap and heap[0][0] <= now + _EARLY and len(due) < _AT_ONCE:
            moment, _, what = heappop(heap)
            lag.record(max(0.0, now - moment))
            due.append(what)
        for what in due:
            if isinstance(what, Session):
                self._go_on(what, None)
            else:
                what()

    def _give_up_waiting(self) -> None:
        timeouts, now = self._timeouts, self._clock()
        while timeouts and (timeouts[0][0] <= now or timeouts[0][1].serial != timeouts[0][2]):
            self._time_out(*timeouts.popleft()[1:])

    def _time_out(self, connection: Connection, serial: int) -> None:
        if connection.serial != serial:
            return
        exchange = connection.exchange
        self._drop(connection, exchange.session)
        self._wrong(exchange, Outcome.TIMEOUT, f"no answer within {self._timeout:g} s")

    # A journey.

    def _go_on(self, session: Session, given: Any, error: GaveUp | None = None) -> None:
        journey = session.journey
        if journey is None:
            return  # left meanwhile
        try:
            wish = journey.throw(error) if error else journey.send(given)
        except StopIteration:
            return self._leave(session, Ending.FINISHED)
        except GaveUp:
            return self._leave(session, Ending.GAVE_UP)
        except Exception as defect:  # noqa: BLE001  # a defect of a scenario is told, and ends one visitor, not the run
            return self._broken_scenario(session, defect)
        if type(wish) is Think:
            self._think(session, wish.seconds * self._time_scale)
        elif type(wish) is Step:
            now = self._clock()
            self._ask(Exchange(session, wish, -1, now, min(now, session.due)))
        elif type(wish) is Together:
            self._ask_together(session, wish)
        else:
            self._broken_scenario(session, TypeError(f"a journey yields steps, not {type(wish).__name__}"))

    def _think(self, session: Session, seconds: float) -> None:
        session.due += seconds
        now = self._clock()
        # Early by an answer faster than expected: no credit, thinking begins now.
        heappush(self._heap, (now + max(0.0, seconds), next(self._numbers), session))

    def _ask_together(self, session: Session, wish: Together) -> None:
        if not wish.steps:
            return self.at(self._clock(), lambda: self._go_on(session, []))
        group = session.group = Group(wish.steps, min(self._clock(), session.due))
        for _ in range(min(self._width, len(wish.steps))):
            self._ask_next(session, group)

    def _ask_next(self, session: Session, group: Group) -> None:
        place = group.next
        step = group.steps[place]
        group.next += 1
        # The one behind a full set of connections was to begin when that set was expected to be answered.
        intended = group.began + place // self._width * self._expect(step.name)
        group.ended = max(group.ended, intended + self._expect(step.name))
        now = self._clock()
        self._ask(Exchange(session, step, place, now, min(now, intended)))

    def _leave(self, session: Session, ending: Ending) -> None:
        if session.journey is None:
            return
        journey, session.journey = session.journey, None
        self._sessions.discard(session)
        for connection in session.connections:
            if connection.exchange is not None:
                self._recorder.cut_off()
                self._recorder.frame.unsent += not connection.exchange.begun
            connection.close()
        session.connections.clear()
        session.group = None
        try:
            journey.close()
        except Exception as defect:  # noqa: BLE001  # the same, on the way out
            self._explain(defect)
        self._recorder.ended(scenario=session.scenario, ending=ending)
        session.done(ending)

    def _broken_scenario(self, session: Session, defect: Exception) -> None:
        self._explain(defect)
        self._leave(session, Ending.GAVE_UP)

    def _explain(self, defect: Exception) -> None:
        self._recorder.frame.notes[f"a scenario broke: {sentence(defect)}"] += 1
        if not self._explained:
            self._explained = True
            traceback.print_exception(defect, file=sys.stderr)

    # A request.

    def _ask(self, exchange: Exchange) -> None:
        step, session = exchange.step, exchange.session
        self._recorder.asked()
        self._asked += 1
        try:
            request = request_bytes(step, self._host)
            connection = self._free(session)
        except Unsendable as error:
            return self._wrong(exchange, Outcome.FAILURE, str(error))
        except OSError as error:
            return self._wrong(exchange, Outcome.FAILURE, self._why_not(error))
        connection.ask(request, exchange, bare=step.method == "HEAD")
        if connection.exchange is exchange:
            self._timeouts.append((exchange.asked + self._timeout, connection, connection.serial))

    def _free(self, session: Session) -> Connection:
        """An idle connection of theirs, or a new one. Raises `OSError`."""
        for connection in tuple(session.connections):
            if connection.exchange is not None:
                continue
            if not connection.closed and not connection.is_dead():
                return connection
            self._drop(connection, session)
        connection = self._wires.open()
        self._recorder.frame.connects += 1
        session.connections.append(connection)
        return connection

    def _why_not(self, error: OSError) -> str:
        lacking = shortage(error)
        if lacking:
            self._recorder.frame.notes[lacking] += 1
        return f"connecting: {lacking or error.strerror}"

    def first_byte_out(self) -> None:
        self._recorder.sent()

    def received(self, size: int) -> None:
        self._recorder.frame.bytes_in += size

    def answered(self, connection: Connection, reader: Reader, at: float) -> None:
        exchange: Exchange = connection.exchange
        session, step = exchange.session, exchange.step
        connection.exchange = None
        if reader.excess:
            self._recorder.frame.notes["bytes that nobody asked for"] += 1
        if not reader.keep_alive or reader.excess:
            self._drop(connection, session)
        frame = self._recorder.frame
        frame.received += 1
        frame.lag.record(max(0.0, self._clock() - at))
        service = at - exchange.asked
        if reader.status not in step.expect:
            return self._wrong(exchange, Outcome.FAILURE, unexpected(reader.status, step), at)
        try:
            body = self._codings.undone(reader.body, reader.headers.get("content-encoding", ""))
        except Garbled as error:
            return self._wrong(exchange, Outcome.FAILURE, str(error), at)
        answer = Answer(reader.status, reader.headers, body, service, step.path, reader.cookies)
        if step.check is not None:
            try:
                step.check(answer)
            except Exception as error:  # noqa: BLE001  # whatever a check stumbles over, the answer is not what it was to be
                return self._wrong(exchange, Outcome.UNTRUE, sentence(error), at)
        self._recorder.answered(
            step=step.name, service=service, intended=at - exchange.intended, outcome=Outcome.SUCCESS, ended=at
        )
        self._settled(exchange, answer)

    def broke(self, connection: Connection, why: str, *, untouched: bool) -> None:
        exchange: Exchange | None = connection.exchange
        if exchange is None:
            return connection.close()  # while idle; its visitor sees that when they need one
        kept = connection.answers > 0
        self._drop(connection, exchange.session)
        if kept and untouched and self._crosses(exchange):
            return self._ask_again(exchange)
        self._wrong(exchange, Outcome.FAILURE, f"{why}, kept from an earlier request" if kept and untouched else why)

    def _crosses(self, exchange: Exchange) -> bool:
        """Whether the end of the connection and the request met on their way. What is posted is never sent twice."""
        often = self._crossed >= _CROSSED_FREE + _CROSSED_SHARE * self._asked
        at_once = self._clock() - exchange.asked < _CROSSED_SECONDS
        return at_once and not often and not exchange.again and exchange.step.method in ("GET", "HEAD")

    def _ask_again(self, exchange: Exchange) -> None:
        """A browser opens another connection, the clock running on."""
        exchange.again = True
        self._crossed += 1
        self._recorder.frame.notes[AGAIN] += 1
        try:
            connection = self._wires.open()
        except OSError as error:
            return self._wrong(exchange, Outcome.FAILURE, self._why_not(error))
        self._recorder.frame.connects += 1
        exchange.session.connections.append(connection)
        step = exchange.step
        connection.ask(request_bytes(step, self._host), exchange, bare=step.method == "HEAD")
        serial = connection.serial
        self.at(exchange.asked + self._timeout, lambda: self._time_out(connection, serial))

    def _wrong(self, exchange: Exchange, outcome: Outcome, why: str, at: float | None = None) -> None:
        """`at`: when the answer was complete, where a whole one came."""
        frame = self._recorder.frame
        frame.unfit += at is not None and outcome is Outcome.FAILURE
        frame.unsent += not exchange.begun
        at = self._clock() if at is None else at
        service, intended = at - exchange.asked, at - exchange.intended
        name = exchange.step.name
        self._recorder.answered(
            step=name, service=service, intended=intended, outcome=outcome, error=without_tokens(why), ended=at
        )
        # Not from here: a journey that asks again at once would go deeper and deeper.
        self._soon.append(exchange)

    def _failed(self, exchange: Exchange) -> None:
        if exchange.place >= 0 or not exchange.step.needed:
            return self._settled(exchange, None)
        self._expect_next(exchange)
        self._go_on(exchange.session, None, GaveUp(exchange.step.name))

    def _settled(self, exchange: Exchange, answer: Answer | None) -> None:
        session = exchange.session
        if exchange.place < 0:
            self._expect_next(exchange)
            return self._go_on(session, answer)
        group = session.group
        if group is None:
            return
        group.answers[exchange.place] = answer
        group.left -= 1
        if group.next < len(group.steps):
            self._ask_next(session, group)
        elif not group.left:
            self._group_done(session, group)

    def _group_done(self, session: Session, group: Group) -> None:
        session.group = None
        session.due = group.ended
        for connection in session.connections[1:]:
            self._drop(connection, session)
        self._go_on(session, group.answers)

    def _expect_next(self, exchange: Exchange) -> None:
        exchange.session.due = exchange.intended + self._expect(exchange.step.name)

    def _expect(self, step: str) -> float:
        return self._expected.get(step, self._otherwise)

    def _drop(self, connection: Connection, session: Session) -> None:
        connection.close()
        if connection in session.connections:
            session.connections.remove(connection)


def seconds_since(began: float) -> Callable[[], float]:
    """A clock for a run whose second 0 is the moment `began` of time.time(). It never goes back: the machine's clock is
    read once."""
    offset = time.monotonic() + (began - time.time())
    return lambda: time.monotonic() - offset
