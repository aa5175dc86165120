"""How static files are stored: under names made of their content, each packed once beside its plain form."""

from typing import Any

from whitenoise.compress import Compressor
from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """By gzip alone, which nginx sends as well. whitenoise would also use brotli where it finds it; here it is only by
    chance, as one of locust's packages, and its best form took most of each start's seconds."""

    def create_compressor(self, **options: Any) -> Compressor:
        return Compressor(use_brotli=False, **options)
