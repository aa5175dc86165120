"""What a log line says besides its message: for whom it was written, and no secret.

A request has an id, which nginx gives it and the answer repeats; a task has the one of its message, a tick of the clock
one of its own. Whatever is logged while they run bears the id, so that one signup can be followed through all logs. An
invitation's token and a ticket are keys, and both stand in addresses, so addresses are redacted.
"""

import json
import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from datetime import UTC, datetime

_SECRET_PATH = re.compile(r"(/(?:i|line|api/position|api/payment)/)[^/\s\"'?]+")
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_task_id: ContextVar[str] = ContextVar("task_id", default="")


def request_id() -> str:
    """The id of the request that is being answered, or of whatever else caused the running work; "" for none."""
    return _request_id.get()


def task_id() -> str:
    """The id of the running task or tick, "" outside of one."""
    return _task_id.get()


def begin(identifier: str) -> Token[str]:
    """What is logged from here on belongs to this request, until `end` is called with the answer."""
    return _request_id.set(identifier)


def end(token: Token[str]) -> None:
    _request_id.reset(token)


@contextmanager
def caused_by(identifier: str) -> Iterator[None]:
    """Inside, work is done for the request of this id: a mail is written in a task and belongs to a signup."""
    token = begin(identifier)
    try:
        yield
    finally:
        end(token)


@contextmanager
def task(identifier: str = "") -> Iterator[str]:
    """Inside, a task runs. What it causes of itself bears its id too. Without an identifier (a tick of the clock) it
    gets a new one, which is yielded."""
    identifier = identifier or uuid.uuid4().hex
    token = _task_id.set(identifier)
    try:
        with caused_by(identifier):
            yield identifier
    finally:
        _task_id.reset(token)


def redacted(text: str) -> str:
    """`text` with each token or ticket in an address replaced by an ellipsis."""
    return _SECRET_PATH.sub(r"\1…", text)


class Redact(logging.Filter):
    """Redacts the finished message, arguments included, and the text of an exception."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redacted(record.exc_text)
        return True


class Line(logging.Formatter):
    """A line for people; the id stands behind the message, if there is one."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        return f"{line} [{known}]" if (known := request_id()) else line


class Json(logging.Formatter):
    """One object a line for machines: time (UTC), level, logger, message, then what is known of the request, the task,
    the exception, and what the caller gave as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if known := request_id():
            line["request_id"] = known
        if known := task_id():
            line["task_id"] = known
        line |= getattr(record, "fields", {})
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        return redacted(json.dumps(line, ensure_ascii=False, default=str))  # the fields, too
