"""What every visitor is made of: who they are, a browser, and words for what people do with one.

A scenario is a subclass whose `journey` reads as what the person does. `yield from` in front of a step means: do this,
and go on when it is done. Whoever drives the journey (our sessions, or plain Locust) sends and waits.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, ClassVar, cast
from urllib.parse import urlencode

from loadtests import identities, pages
from loadtests.browser import Browser
from loadtests.crowd import Crowd
from loadtests.pages import Part
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

    __slots__ = ("browser", "chance", "crowd", "index")
    NAME: ClassVar[str]
    JOURNEY_SECONDS: ClassVar[float]  # how long a visit takes at time scale 1 when every answer is immediate, at most

    def __init__(self, crowd: Crowd, index: int) -> None:
        self.crowd = crowd
        self.index = index
        self.chance = identities.thinking(seed=crowd.seed, index=index)
        self.browser = Browser(clock=crowd.visitors_time, secure=crowd.target.scheme == "https")

    def journey(self) -> Journey:
        raise NotImplementedError

    def think(self, at_least: float, at_most: float) -> Journey:
        yield Think(self.chance.uniform(at_least, at_most))

    def get(self, name: str, path: str, *, check: Check | None = None, accept: str = JSON) -> Doing:
        """What a script of the page asks for; its cache is left alone."""
        return cast("Answer", (yield self.browser.ask(name=name, path=path, accept=accept, check=check)))

    def post(
        self,
        name: str,
        path: str,
        form: Mapping[str, str],
        *,
        status: int,
        check: Check | None = None,
        accept: str = PAGE,
    ) -> Doing:
        """Send a form. A redirect is an answer: the visitor goes where the journey says."""
        headers = {"Content-Type": FORM, "Origin": self.crowd.target.url}
        step = self.browser.ask(
            name=name,
            path=path,
            method="POST",
            accept=accept,
            dest="document" if accept == PAGE else "empty",
            expect=(status,),
            body=urlencode(form).encode(),
            headers=headers,
            check=check,
        )
        return cast("Answer", (yield step))

    def page(self, name: str, path: str, *, check: Check | None = None) -> Doing:
        """Open a page with all that belongs to it, as far as the browser has not kept it."""

        def shown(answer: Answer) -> None:
            page_text(answer)
            if check is not None:
                check(answer)

        answer = self.browser.fresh(path)
        if answer is None:
            step = self.browser.ask(name=name, path=path, accept=PAGE, dest="document", check=shown)
            answer = self.browser.seen(path, (yield step))
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

    def check_frame(self, name: str, answer: Answer) -> None:
        """What must be true of a frame inside a page. Raises `Untrue`."""

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
        def check(answer: Answer) -> None:
            if part.kind == "iframe":
                page_text(answer)
                self.check_frame(part.name, answer)
                return
            kind = answer.headers.get("content-type", "")
            expected = _KINDS.get(part.kind, ("", ""))[0]
            claim(kind.startswith(expected), f"content type {kind!r} instead of {expected}")

        if part.kind == "iframe":
            return self.browser.ask(name=f"iframe.{part.name}", path=path, accept=PAGE, dest="iframe", check=check)
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
