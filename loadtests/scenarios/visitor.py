"""What every visitor is made of: who they are, a browser, and words for what people do with one.

A scenario is a subclass whose `journey` reads as what the person does. `yield from` in front of a step means: do this,
and go on when it is done. Whoever drives the journey (our sessions, or plain Locust) sends and waits.
"""

import random
from collections.abc import Callable, Generator, Mapping
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from loadtests import identities
from loadtests.browsing import pages
from loadtests.browsing.browser import Browser
from loadtests.browsing.pages import Part
from loadtests.crowd import Crowd
from loadtests.steps import Answer, Check, GaveUp, Journey, Step, Think, Together, Untrue, claim
from loadtests.target import ForeignHost

JSON = "application/json"
PAGE = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.1"
FORM = "application/x-www-form-urlencoded"
DEEPEST = 4  # a page's stylesheet's stylesheet's font

Doing = Generator[Step | Think | Together, Any, Answer]

_KINDS = {"css": ("text/css", "style"), "js": ("text/javascript", "script"), "image": ("image/", "image")}


class Visitor:
    """One person. `index`: the number of their arrival in the plan; no other visitor of the run has it."""

    __slots__ = ("_chance", "browser", "crowd", "index")
    NAME: ClassVar[str]
    JOURNEY_SECONDS: ClassVar[float]  # how long a visit takes at time scale 1 when every answer is immediate, at most

    def __init__(self, crowd: Crowd, index: int) -> None:
        self.crowd = crowd
        self.index = index
        self._chance: random.Random | None = None
        self.browser = Browser(clock=crowd.visitors_time, secure=crowd.target.scheme == "https")

    def journey(self) -> Journey:
        raise NotImplementedError

    @property
    def chance(self) -> random.Random:
        """The dice behind what this visitor does. Made when they are first thrown: they are half of what a visitor
        weighs who only waits."""
        if self._chance is None:
            self._chance = identities.thinking(seed=self.crowd.seed, index=self.index)
        return self._chance

    def think(self, at_least: float, at_most: float) -> Journey:
        yield Think(self.chance.uniform(at_least, at_most))

    def get(
        self,
        name: str,
        path: str,
        *,
        check: Check | None = None,
        accept: str = JSON,
        expect: tuple[int, ...] = (200,),
        needed: bool = True,
    ) -> Generator[Any, Any, Answer | None]:
        """What a script of the page asks for, or a page whose parts do not matter. None: it was not answered rightly,
        and is not `needed`."""
        kept = self.browser.fresh(path)
        if kept is not None:
            return kept
        dest = "document" if accept == PAGE else "empty"
        check = self._mine(check)
        step = self.browser.ask(
            name=name, path=path, accept=accept, dest=dest, expect=expect, check=check, needed=needed
        )
        answer = yield step
        return None if answer is None else self.browser.seen(path, answer)

    def post(
        self,
        name: str,
        path: str,
        form: Mapping[str, str],
        *,
        expect: tuple[int, ...],
        check: Check | None = None,
        accept: str = PAGE,
    ) -> Doing:
        """Send a form. A redirect is an answer: the visitor goes where the journey says."""
        step = self.browser.ask(
            name=name,
            path=path,
            method="POST",
            accept=accept,
            dest="document" if accept == PAGE else "empty",
            expect=expect,
            body=urlencode(form).encode(),
            headers={"Content-Type": FORM, "Origin": self.crowd.target.url},
            check=self._mine(check),
        )
        return cast("Answer", (yield step))

    def page(self, name: str, path: str, *, check: Check | None = None, also: tuple[int, ...] = ()) -> Doing:
        """Open a page with all that belongs to it, as far as the browser has not kept it. `also`: other statuses than
        200 that are right; such a page brings nothing, and `check` is given it as well."""

        def shown(answer: Answer) -> None:
            if answer.status == 200:
                page_text(answer)
            if check is not None:
                check(answer)

        answer = yield from self.get(name, path, check=shown, accept=PAGE, expect=(200, *also))
        if answer is None:
            raise GaveUp(name)
        if answer.status == 200:
            yield from self._fetch_parts(pages.of_page(answer.body, path))
        return answer

    def poll(self, ask: Callable[[], Generator[Any, Any, bool]], *, every: float, times: int) -> Journey:
        """Ask again and again, until `ask` says that there is nothing more to wait for. One bad answer does not end it:
        the page keeps polling. Whether it was bad is in the record."""
        for _ in range(times):
            yield Think(every)
            try:
                if (yield from ask()):
                    return
            except GaveUp:
                continue

    def follow(self, answer: Answer) -> str:
        """The path that a redirect leads to. Raises `Untrue` if it leads off the target: nobody goes there."""
        try:
            return self.crowd.target.path_of(answer.headers.get("location", ""))
        except ForeignHost as error:
            raise Untrue(f"redirected off the target: {error}") from error

    def my_email(self) -> str:
        """The address that pages may show to this visitor, and no other visitor's."""
        return self.crowd.email(self.index)

    def _mine(self, check: Check | None) -> Check:
        def checked(answer: Answer) -> None:
            if check is not None:
                check(answer)
            foreign = identities.emails_in(answer.body) - {self.my_email()}
            claim(not foreign, f"shows another visitor's address: {min(foreign, default='')}")

        return checked

    def check_frame(self, path: str, answer: Answer) -> None:
        """What must be true of the frame at `path` inside a page. Raises `Untrue`."""

    def _fetch_parts(self, parts: tuple[Part, ...]) -> Journey:
        """In rounds, as a browser finds them: what the page names, then what that names. Each once."""
        asked: set[str] = set()
        for _ in range(DEEPEST):
            wanted = [(part, path) for part in parts if (path := self._path_here(part)) and path not in asked]
            asked |= {path for _, path in wanted}
            shown = [(part, path, self.browser.fresh(path)) for part, path in wanted]
            missing = [(part, path) for part, path, kept in shown if kept is None]
            answers = [(part, path, kept) for part, path, kept in shown if kept is not None]
            if missing:
                got = yield Together(tuple(self._part_step(part, path) for part, path in missing))
                answers += [
                    (part, path, self.browser.seen(path, answer))
                    for (part, path), answer in zip(missing, got, strict=True)
                    if answer is not None
                ]
            parts = tuple(found for part, path, answer in answers for found in _brought(part, path, answer))
            if not parts:
                return

    def _path_here(self, part: Part) -> str | None:
        try:
            return self.crowd.target.path_of(part.link)
        except ForeignHost:
            self.crowd.note("a link off the target, not fetched")
            return None

    def _part_step(self, part: Part, path: str) -> Step:
        def frame(answer: Answer) -> None:
            page_text(answer)
            self.check_frame(path, answer)

        def check(answer: Answer) -> None:
            kind = answer.headers.get("content-type", "")
            expected = _KINDS.get(part.kind, ("", ""))[0]
            claim(kind.startswith(expected), f"content type {kind!r} instead of {expected}")

        if part.kind == "iframe":
            name, check_it = f"iframe.{part.name}", self._mine(frame)
            return self.browser.ask(name=name, path=path, accept=PAGE, dest="iframe", check=check_it)
        dest = _KINDS.get(part.kind, ("", part.kind if part.kind == "font" else "empty"))[1]
        return self.browser.ask(name=f"resource.{part.kind}", path=path, accept="*/*", dest=dest, check=check)


def _brought(part: Part, path: str, answer: Answer) -> tuple[Part, ...]:
    readers = {"css": pages.of_stylesheet, "js": pages.of_script, "iframe": pages.of_page}
    return readers[part.kind](answer.body, path) if part.kind in readers else ()


def json_object(answer: Answer) -> dict[str, Any]:
    kind = answer.headers.get("content-type", "")
    claim(kind.startswith("application/json"), f"content type {kind!r} instead of application/json")
    try:
        content = answer.json()
    except ValueError as error:
        raise Untrue("the body is not JSON") from error
    claim(isinstance(content, dict), "the JSON is not an object")
    return dict(content)


def page_text(answer: Answer) -> str:
    kind = answer.headers.get("content-type", "")
    claim(kind.startswith("text/html"), f"content type {kind!r} instead of text/html")
    return answer.text
