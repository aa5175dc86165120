"""One line of an access log as a value. Three forms: *common* and *combined* (NCSA httpd's and Apache's; nginx writes
the latter unless told otherwise) and one JSON object a line, under the names that nginx, Caddy and our own edge use.
"""

import calendar
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple


class Hit(NamedTuple):
    """`moment`: seconds of the epoch, as exact as the log is. `path` with its query. `agent`: "" where the log has none
    of it (common logs, our edge), "-" where the browser named none."""

    client: str
    agent: str
    moment: float
    method: str
    path: str
    status: int


class NoHit(ValueError):
    """The line tells of no request that could be read; the message is why, the same for all lines of a kind."""


Parse = Callable[[str], Hit]

# host ident user [time] "request" status bytes, and in combined logs "referrer" "agent". A quote inside quotes is
# written \" by Apache and \x22 by nginx.
_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_NCSA = re.compile(rf"(\S+) \S+ .*?\[([^\]]+)\] {_QUOTED} (\d{{3}}) (?:\d+|-)(?: {_QUOTED} {_QUOTED})?")
_PATH = re.compile(r"/[!-~\u2026]*")  # what a browser sends; our edge's routes hold an ellipsis for what is secret
_LONGEST = 2_000
_MONTHS = {month: place for place, month in enumerate(calendar.month_abbr) if month}
_minutes: dict[str, float] = {}


def ncsa(line: str) -> Hit:
    """A line of a common or a combined log. Raises `NoHit`."""
    found = _NCSA.match(line)
    if found is None:
        raise NoHit("not in the form of this log")
    client, time, request, status, _, agent = found.groups()
    method, path = _request(request)
    return Hit(client, agent or "", _ncsa_moment(time), method, path, int(status))


def from_json(line: str) -> Hit:
    """A line of a JSON log. Raises `NoHit`."""
    try:
        said = json.loads(line)
    except ValueError:
        raise NoHit("not JSON") from None
    if not isinstance(said, dict):
        raise NoHit("no JSON object")
    inner = said["request"] if isinstance(said.get("request"), dict) else {}  # Caddy
    fields = {**inner, **said}
    method, path = _json_request(fields)
    client, status = _first(fields, "client", "remote_addr", "client_ip", "remote_ip"), fields.get("status")
    if not client or isinstance(status, bool) or not str(status).isdigit():
        raise NoHit("no client or no status")
    return Hit(str(client), _agent(fields), _json_moment(fields), method, path, int(str(status)))


def parser_for(lines: list[str]) -> Parse:
    """What reads most of these first lines of a log."""
    return from_json if 2 * sum(line.lstrip().startswith("{") for line in lines) > len(lines) else ncsa


def _request(request: str) -> tuple[str, str]:
    """`GET /path HTTP/1.0`; of HTTP/0.9 there was no version to name."""
    parts = request.split(" ")
    if len(parts) not in (2, 3) or not parts[0].isalpha():
        raise NoHit("no request in it")
    return parts[0], _path(parts[1])


def _path(path: str) -> str:
    path = path.partition("#")[0]
    if len(path) > _LONGEST:
        raise NoHit(f"an address longer than {_LONGEST} characters")
    if not _PATH.fullmatch(path) or path.startswith("//") or "\\" in path or '"' in path:
        raise NoHit("an address that no browser asks for")
    return path


def _ncsa_moment(text: str) -> float:
    """`10/Oct/2000:13:55:36 -0700`. A minute is worked out once, for a busy second has hundreds of lines."""
    minute, seconds, zone = text[:17], text[18:20], text[21:]
    key = minute + zone
    if key not in _minutes:
        if len(_minutes) > 5_000:
            _minutes.clear()
        _minutes[key] = _minute(minute, zone)
    try:
        return _minutes[key] + int(seconds)
    except ValueError:
        raise NoHit("no time in it") from None


def _minute(text: str, zone: str) -> float:
    try:
        day, month, year, hour, minute = int(text[:2]), _MONTHS[text[3:6]], int(text[7:11]), text[12:14], text[15:17]
        offset = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[3:5])) if zone else timedelta()
        return datetime(year, month, day, int(hour), int(minute), tzinfo=timezone(offset)).timestamp()
    except (ValueError, KeyError, IndexError):
        raise NoHit("no time in it") from None


def _first(fields: dict[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) not in (None, "")), None)


def _json_request(fields: dict[str, Any]) -> tuple[str, str]:
    if isinstance(fields.get("request"), str):
        return _request(fields["request"])
    method = _first(fields, "method", "request_method")
    path = _first(fields, "request_uri", "uri", "path", "url", "route")
    if not isinstance(method, str) or not isinstance(path, str):
        raise NoHit("no request in it")
    return method, _path(path)


def _agent(fields: dict[str, Any]) -> str:
    said = _first(fields, "http_user_agent", "user_agent", "agent")
    if said is None and isinstance(fields.get("headers"), dict):
        said = (fields["headers"].get("User-Agent") or ["-"])[0]
    return str(said) if said is not None else ""


def _json_moment(fields: dict[str, Any]) -> float:
    said = _first(fields, "msec", "ts", "time", "time_iso8601", "timestamp", "@timestamp", "time_local")
    if isinstance(said, int | float) and not isinstance(said, bool):
        return _of_epoch(said)
    text = str(said)
    try:
        number = float(text) if text[:1].isdigit() and text.count("-") < 2 and "/" not in text else None
        return _iso(text) if number is None else _of_epoch(number)
    except NoHit:
        raise
    except ValueError:
        return _ncsa_moment(text)


def _of_epoch(number: float) -> float:
    """Seconds since 1970; some servers write milliseconds, microseconds or nanoseconds. 10^11 seconds are the year
    5138, as many milliseconds March 1973: no log is of either."""
    try:
        moment = float(number)
    except OverflowError:
        moment = math.inf
    if not 0 <= moment < 1e20:
        raise NoHit("no time in it")
    while moment > 1e11:
        moment /= 1e3
    return moment


def _iso(text: str) -> float:
    """RFC 3339. One without a zone is taken as UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
