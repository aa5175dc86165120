"""What of a log is sent again, and what it is called. A line that is left out is left out for a reason that is told."""

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from loadtests.replay.log_lines import Hit

OUR_KINDS = Path(__file__).with_name("kinds.toml")

# Programs that say what they are. Whoever names no agent in a log that has agents is one of them, too.
_ROBOT = re.compile(
    r"bot\b|bot[/_-]|crawl|spider|slurp|mediapartners|facebookexternalhit|preview|monitor|pingdom|uptime|"
    r"health ?check|kube-probe|headless|phantomjs|curl/|wget/|python|java/|go-http-client|okhttp|libwww|httpclient|"
    r"scrapy|axios|node-fetch|locust|apachebench|wrk\b|k6/",
    re.IGNORECASE,
)


class KindMistake(Exception):
    """A file of kinds cannot be used; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`leave_out`: why such a line is not replayed; "" for one that is."""

    name: str
    pattern: re.Pattern[str]
    leave_out: str = ""


class Rules:
    """`sort(hit)`: the kind of a page that is replayed, or why the line is not."""

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self.kinds = kinds
        self.replayed = tuple(dict.fromkeys(kind.name for kind in kinds if not kind.leave_out))
        self._of_path = lru_cache(maxsize=65_536)(self._look)

    def kind_of(self, path: str) -> Kind | None:
        return self._of_path(path)

    def why_not(self, hit: Hit) -> str:
        """ "" for a page that is replayed."""
        if hit.method != "GET":
            return "not a GET: what a form held is in no log"
        if hit.status >= 400 or hit.status < 200:
            return "was answered with an error"
        kind = self.kind_of(hit.path)
        return kind.leave_out if kind else "no kind has this address"

    def _look(self, path: str) -> Kind | None:
        return next((kind for kind in self.kinds if kind.pattern.search(path)), None)


def is_robot(hit: Hit) -> bool:
    return hit.agent == "-" or bool(hit.agent and _says_robot(hit.agent))


@lru_cache(maxsize=8_192)
def _says_robot(agent: str) -> bool:
    return bool(_ROBOT.search(agent))


def read(path: Path = OUR_KINDS) -> Rules:
    """Raises `KindMistake`."""
    try:
        rows = tomllib.loads(path.read_text())["kind"]
        kinds = tuple(Kind(str(row["kind"]), re.compile(row["pattern"]), str(row.get("leave_out", ""))) for row in rows)
    except OSError as error:
        raise KindMistake(f"{path} cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KindMistake(f"{path}: {error}") from error
    except re.error as error:
        raise KindMistake(f"{path}: the pattern {error.pattern!r} is none: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise KindMistake(f"{path}: [[kind]] tables with `kind` and `pattern` are wanted ({error!r})") from error
    named = [kind.name for kind in kinds if not kind.leave_out]
    if not named or not all(re.fullmatch(r"[a-z][a-z0-9_-]*", name) for name in named):
        raise KindMistake(f"{path}: kinds that are replayed have names of small letters, digits, - and _")
    return Rules(kinds)
