"""The terms of sale: versioned texts. A published version is never changed; what somebody accepted can be shown."""

import hashlib
from datetime import datetime

from ico.models import Terms


class NoTerms(Exception):
    """No version of the terms has been published."""


def publish(*, version: str, text: str, now: datetime) -> Terms:
    """Make this the version that is shown from now on. A second text under the same version raises `ValueError`."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    terms, _ = Terms.objects.get_or_create(
        version=version, defaults={"text": text, "digest": digest, "published_at": now}
    )
    if terms.digest != digest:
        raise ValueError(f"version {version} of the terms is published already, with another text")
    return terms


def current() -> Terms:
    """The version published last. Raises `NoTerms`."""
    terms = Terms.objects.order_by("-published_at", "-pk").first()
    if terms is None:
        raise NoTerms("no terms of sale have been published; `manage.py seed_sale` does")
    return terms
