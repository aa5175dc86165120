"""Which pages a shop has, from what it links to: its departments page by page, the deals, the events. A product's page
is noted and not opened. One request at a time, a few hundred at most, and none that leads off the target."""

import html
import re
from collections import deque
from http.client import HTTPConnection, HTTPException
from urllib.parse import urljoin

from loadtests.guard import pinned
from loadtests.replay.rules import Rules
from loadtests.target import ForeignHost, Target

MOST_PAGES = 300
PATIENCE_SECONDS = 30.0
_LARGEST = 4 << 20
_LINK = re.compile(r'<a\s[^>]*?href="([^"#]+)')
_BEGINNINGS = ("/shop/", "/shop/deals/", "/shop/events/")
_OPENED = ("home", "category", "deals", "events")
_PLAIN = re.compile(r"[^?]*(\?page=\d+)?")  # of filters and sort orders there are more than pages


class NoWalk(Exception):
    """The shop could not be looked through; the message says why."""


def paths(target: Target, rules: Rules) -> list[str]:
    """Paths that can be opened, in the order in which they were found: what a shop shows first is asked for most.
    Raises `NoWalk`. The target must have been admitted (`loadtests/guard/challenge.py`)."""
    found = dict.fromkeys(_BEGINNINGS)
    waiting, opened, gone = deque(_BEGINNINGS), 0, list[str]()
    connection = pinned.connection(target, timeout=PATIENCE_SECONDS)
    try:
        while waiting and opened < MOST_PAGES:
            path, opened = waiting.popleft(), opened + 1
            page = _page(connection, target, path)
            if page is None:
                gone.append(path)
                continue
            for link in _links(page, path, target, rules):
                if link not in found:
                    found[link] = None
                    if _kind(rules, link) in _OPENED:
                        waiting.append(link)
    except (OSError, HTTPException) as error:
        raise NoWalk(f"{target.url} cannot be looked through: {error!r}") from error
    finally:
        connection.close()
    return [path for path in found if path not in gone]


def _page(connection: HTTPConnection, target: Target, path: str) -> str | None:
    connection.request("GET", path, headers={"Host": target.authority, "User-Agent": "stampede-laboratory"})
    answer = connection.getresponse()
    body = answer.read(_LARGEST)
    if answer.status == 200:
        return body.decode("utf-8", "replace")
    connection.close()  # whatever is left of the body
    return None


def _links(page: str, path: str, target: Target, rules: Rules) -> list[str]:
    found = []
    for written in _LINK.findall(page):
        try:
            link = target.path_of(urljoin(path, html.unescape(written)))
        except (ForeignHost, ValueError):
            continue
        if link.isascii() and _PLAIN.fullmatch(link) and _kind(rules, link) in (*_OPENED, "product"):
            found.append(link)
    return found


def _kind(rules: Rules, path: str) -> str:
    kind = rules.kind_of(path)
    return kind.name if kind is not None and not kind.leave_out else ""
