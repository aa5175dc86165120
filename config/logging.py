"""Keeps secrets out of the log: an invitation's token and a ticket are keys, and both stand in addresses."""

import logging
import re

_SECRET_PATH = re.compile(r"(/(?:i|line|api/position|api/payment)/)[^/\s\"'?]+")


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
