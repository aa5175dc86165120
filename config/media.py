"""Files that people are shown and that belong to no page: served from the data folder on the embedded default. On a
stack nginx does it, or a bucket (`config/s3.py`)."""

from __future__ import annotations  # File is generic for the type checker only

import mimetypes
import os
import posixpath
import re
from typing import Any
from uuid import uuid4

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, default_storage
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

FOR_EVER = "public, max-age=31536000, immutable"  # a name follows from what is in the file
# Nothing hidden, no way up: a part of a path begins with a letter or a digit.
_LONGEST = 120  # as in `shop.models.Picture`; a file system may refuse longer ones
_SAFE = re.compile(r"[a-z0-9][\w-]*(/[a-z0-9][\w-]*)*\.(jpg|png|webp)")


class WholeFiles(FileSystemStorage):
    """A folder in which a name is either absent or a whole file: it is written beside its place and moved there. Who
    saves a name again replaces the file, as in a bucket."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File[Any]) -> str:
        draft = posixpath.join(posixpath.dirname(name), f".{uuid4().hex}.draft")  # hidden: no address leads there
        try:
            super()._save(draft, content)  # type: ignore[misc]  # its stub lacks it
            os.replace(self.path(draft), self.path(name))
        except BaseException:
            self.delete(draft)
            raise
        return name


@require_safe
def media(request: HttpRequest, name: str) -> HttpResponse:
    if len(name) > _LONGEST or not _SAFE.fullmatch(name):
        raise Http404("There is no such picture.")
    try:
        with default_storage.open(name) as file:
            response = HttpResponse(file.read(), content_type=mimetypes.guess_type(name)[0])
    except (FileNotFoundError, IsADirectoryError):
        raise Http404("There is no such picture.") from None
    response["Cache-Control"] = FOR_EVER
    return response
