"""Static files are packed beside their plain form, by what nginx sends as well and by nothing that takes longer."""

from __future__ import annotations

import gzip
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.storage import staticfiles_storage


def test_each_has_its_packed_form_and_no_second_one() -> None:
    kept = Path(settings.STATIC_ROOT) / staticfiles_storage.stored_name("site/site.css")
    packed = kept.with_name(f"{kept.name}.gz")
    assert gzip.decompress(packed.read_bytes()) == kept.read_bytes()
    assert not list(Path(settings.STATIC_ROOT).rglob("*.br"))
