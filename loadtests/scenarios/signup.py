"""Somebody hears of the sale, signs up, and watches the line."""

from collections.abc import Generator
from typing import Any

from loadtests.scenarios.visitor import JSON, Visitor, json_object, page_text
from loadtests.steps import Answer, Journey, claim

STATES = {"placing", "waiting", "invited", "joined", "expired", "left"}
SETTLED = STATES - {"placing", "waiting"}
POLL_SECONDS = 30.0
POLLS = 10


class Signup(Visitor):
    __slots__ = ("number", "position", "position_url", "state")
    NAME = "signup"
    JOURNEY_SECONDS = POLLS * POLL_SECONDS

    def journey(self) -> Journey:
        self.number: int | None = None
        self.position: int | None = None
        yield from self.page("signup.landing", "/", check=self.check_landing_page)
        yield from self.leave_an_address()
        yield from self.poll(self.look_at_the_line, every=POLL_SECONDS, times=POLLS)

    def leave_an_address(self) -> Journey:
        form = {"email": self.crowd.email(self.index)}
        yield from self.post("signup.post", "/signup/", form, expect=(202,), accept=JSON, check=self.check_promise)

    def look_at_the_line(self) -> Generator[Any, Any, bool]:
        yield from self.get("signup.position", self.position_url, check=self.check_position)
        return self.state in SETTLED

    def check_landing_page(self, answer: Answer) -> None:
        claim('action="/signup/"' in page_text(answer), "the landing page has no signup form")
        claim(not answer.cookies, "the public landing page sets a cookie")

    def check_promise(self, answer: Answer) -> None:
        email = self.crowd.email(self.index)
        self.crowd.acknowledge(email=email, promise=answer.text)  # before any check: a 202 is a promise, however worded
        place = json_object(answer)
        ticket, number = place.get("ticket"), place.get("number")
        claim(isinstance(ticket, str) and bool(ticket), "no ticket")
        claim(is_number(number), f"the number is {number!r}")
        claim(place.get("position_url") == f"/api/position/{ticket}", "position_url is not the ticket's")
        other = self.crowd.other_owner(f"ticket {ticket}", self.index)
        claim(other is None, f"visitor {other} was given the same ticket")
        self.number, self.position_url = number, str(place["position_url"])

    def check_position(self, answer: Answer) -> None:
        line = json_object(answer)
        state, number, position, ahead = (line.get(name) for name in ("state", "number", "position", "ahead"))
        claim(state in STATES, f"unknown state {state!r}")
        claim(is_number(number), f"the number is {number!r}")
        claim(self.number is None or number == self.number, f"the number changed from {self.number} to {number}")
        claim(number is not None or state == "placing", f"{state} without a number")
        claim(is_number(position), f"the position is {position!r}")
        claim(isinstance(line.get("waiting"), int), "waiting is not a number")
        pace = line.get("poll_after_seconds")
        claim(isinstance(pace, int | float) and pace > 0, f"poll_after_seconds is {pace!r}")
        if state == "waiting":
            claim(position is not None, "waiting without a position")
            claim(ahead is not None and position == ahead + 1, f"position {position} with {ahead} ahead")
        if number is not None:
            other = self.crowd.other_owner(f"number {number}", self.index)
            claim(other is None, f"visitor {other} was given the same number {number}")
        if position is not None:
            claim(self.position is None or position <= self.position, f"position rose: {self.position} to {position}")
            self.position = position
        self.number, self.state = number, str(state)


def is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
