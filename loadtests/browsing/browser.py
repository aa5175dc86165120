"""What one visitor's browser remembers between requests: cookies, and answers it may use again.

Ages are told in the visitor's own time: where the run's time scale makes a wait of 30 s last 3 s, a page that may be
kept for 30 s is old after 3 s as well. Nothing here sends anything; what is to be sent is given back as a `Step`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from http.cookies import SimpleCookie

from loadtests.steps import Answer, Check, Step

AGENT = "Mozilla/5.0 (X11; Linux x86_64) Stampede-Loadtest"
_LONGEST_CACHED = 1 << 20
_VALIDATORS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
_REMEMBERED = ("content-type", "cache-control", *_VALIDATORS)


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer in the cache. `until`: the moment from which it is asked for again, with its validators."""

    answer: Answer
    until: float


@dataclass(frozen=True, slots=True)
class Cookie:
    value: str
    path: str
    secure: bool


class Browser:
    """`clock`: the visitor's own time, in seconds."""

    __slots__ = ("_clock", "_cookies", "_kept", "_secure")

    def __init__(self, *, clock: Callable[[], float], secure: bool) -> None:
        self._clock = clock
        self._secure = secure
        self._cookies: dict[str, Cookie] = {}
        self._kept: dict[str, Kept] = {}

    def cookie(self, name: str) -> str | None:
        cookie = self._cookies.get(name)
        return cookie.value if cookie else None

    def fresh(self, path: str) -> Answer | None:
        """An answer that may be shown without asking anybody."""
        kept = self._kept.get(path)
        return kept.answer if kept and self._clock() < kept.until else None

    def ask(
        self,
        *,
        name: str,
        path: str,
        method: str = "GET",
        accept: str,
        dest: str = "empty",
        expect: tuple[int, ...] = (200,),
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        check: Check | None = None,
        needed: bool = True,
    ) -> Step:
        """The request with all that a browser adds to it. `check` is given the answer as the visitor sees it: after a
        304 that is the one in the cache."""
        sent = {**self._headers(path, accept=accept, dest=dest), **(headers or {})}
        kept = self._kept.get(path) if method == "GET" else None
        if kept:
            validators = {
                _VALIDATORS[name]: value for name, value in kept.answer.headers.items() if name in _VALIDATORS
            }
            sent, expect = sent | validators, (*expect, 304)

        def received(answer: Answer) -> None:
            self._take_cookies(answer)
            shown = self.seen(path, answer) if method == "GET" else answer
            if method != "GET":
                self._kept.pop(path, None)  # RFC 9111, 4.4
            if check is not None:
                check(shown)

        return Step(name, method, path, expect, sent, body, received, needed)

    def seen(self, path: str, answer: Answer) -> Answer:
        """What the visitor is shown: the answer, or after a 304 what was kept. Keeps what may be kept."""
        kept = self._kept.get(path)
        if answer.status == 304 and kept:
            answer = replace(kept.answer, headers={**kept.answer.headers, **answer.headers}, seconds=answer.seconds)
        self._keep(path, answer)
        return answer

    def _headers(self, path: str, *, accept: str, dest: str) -> dict[str, str]:
        headers = {
            "Accept": accept,
            "Accept-Encoding": "gzip",
            "Accept-Language": "en",
            "User-Agent": AGENT,
            "Sec-Fetch-Dest": dest,
            "Sec-Fetch-Mode": "navigate" if dest in ("document", "iframe") else "cors",
            "Sec-Fetch-Site": "same-origin",
        }
        cookies = "; ".join(f"{name}={held.value}" for name, held in self._cookies.items() if self._goes_to(held, path))
        return {**headers, "Cookie": cookies} if cookies else headers

    def _goes_to(self, cookie: Cookie, path: str) -> bool:
        below = path == cookie.path or path.startswith(cookie.path.rstrip("/") + "/")
        return below and (self._secure or not cookie.secure)

    def _take_cookies(self, answer: Answer) -> None:
        """A lifetime is looked at only for being over: none of ours ends during a visit."""
        for line in answer.cookies:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or "1970" in morsel["expires"]:
                    self._cookies.pop(name, None)
                else:
                    self._cookies[name] = Cookie(morsel.value, morsel["path"] or "/", bool(morsel["secure"]))

    def _keep(self, path: str, answer: Answer) -> None:
        rules = _rules(answer.headers.get("cache-control", ""))
        if answer.status != 200 or "no-store" in rules or len(answer.body) > _LONGEST_CACHED:
            self._kept.pop(path, None)
            return
        age = 0.0 if "no-cache" in rules else _seconds(rules.get("max-age", ""))
        if age > 0 or _VALIDATORS.keys() & answer.headers.keys():
            known = tuple((name, answer.headers[name]) for name in _REMEMBERED if name in answer.headers)
            self._kept[path] = Kept(_remembered(known, answer.body, path), self._clock() + age)


@lru_cache(maxsize=2048)
def _remembered(headers: tuple[tuple[str, str], ...], body: bytes, path: str) -> Answer:
    """What thousands of visitors keep is held once."""
    return Answer(200, dict(headers), body, 0.0, path)


def _rules(header: str) -> dict[str, str]:
    pairs = (rule.strip().partition("=") for rule in header.lower().split(","))
    return {name: value.strip('"') for name, _, value in pairs}


def _seconds(value: str) -> float:
    return float(value) if value.isdigit() else 0.0
