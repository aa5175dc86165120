"""Files that people are shown and that belong to no page: served from the data folder on the embedded default. On a
stack nginx does it, or a bucket (`config/s3.py`)."""

import mimetypes
import re

from django.core.files.storage import default_storage
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

FOR_EVER = "public, max-age=31536000, immutable"  # a name follows from what is in the file
# Nothing hidden, no way up: a part of a path begins with a letter or a digit.
_LONGEST = 120  # as in `shop.models.Picture`; a file system may refuse longer ones
_SAFE = re.compile(r"[a-z0-9][\w-]*(/[a-z0-9][\w-]*)*\.(jpg|png|webp)")


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
