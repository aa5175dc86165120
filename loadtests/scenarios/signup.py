"""Somebody hears of the sale, signs up, and watches the line."""

from typing import Any

from loadtests.scenarios.visitor import JSON, PAGE, Visitor, claim, json_object, page

STATES = {"placing", "waiting", "invited", "joined", "expired", "left"}
SETTLED = STATES - {"placing", "waiting"}
POLL_SECONDS = 30.0
POLLS = 10


class Signup(Visitor):
    def arrive(self) -> None:
        self.number: int | None = None
        self.position: int | None = None

    def journey(self) -> None:
        self.see_the_landing_page()
        self.leave_an_address()
        self.poll(self.look_at_the_line, every=POLL_SECONDS, times=POLLS)

    def see_the_landing_page(self) -> None:
        with self.step("signup.landing", "GET", "/", status=200, headers=PAGE) as answer:
            claim('action="/signup/"' in page(answer), "the landing page has no signup form")
            claim("set-cookie" not in answer.headers, "the public landing page sets a cookie")

    def leave_an_address(self) -> None:
        email = self.crowd.email(self.index)
        form = {"email": email}
        with self.step("signup.post", "POST", "/signup/", status=202, headers=JSON, data=form) as answer:
            promise = answer.text or ""
            self.crowd.acknowledge(email=email, promise=promise)  # before any check: a 202 is a promise, however worded
            place = json_object(answer)
            ticket, number = place.get("ticket"), place.get("number")
            claim(isinstance(ticket, str) and bool(ticket), "no ticket")
            claim(is_number(number), f"the number is {number!r}")
            claim(place.get("position_url") == f"/api/position/{ticket}", "position_url is not the ticket's")
            self.number, self.position_url = number, str(place["position_url"])

    def look_at_the_line(self) -> bool:
        with self.step("signup.position", "GET", self.position_url, status=200, headers=JSON) as answer:
            return self.check_position(json_object(answer)) in SETTLED

    def check_position(self, line: dict[str, Any]) -> str:
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
        if position is not None:
            claim(self.position is None or position <= self.position, f"position rose: {self.position} to {position}")
            self.position = position
        self.number = number
        return str(state)


def is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
