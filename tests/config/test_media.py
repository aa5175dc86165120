"""Pictures of the data folder are shown, and nothing else of it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, default_storage
from django.test import Client

from config import media

ROOT = Path(__file__).resolve().parents[2]
NAME = "shop/ab/abcdef-320.jpg"


@pytest.fixture
def picture() -> Iterator[bytes]:
    default_storage.save(NAME, ContentFile(b"\xff\xd8picture"))
    yield b"\xff\xd8picture"
    default_storage.delete(NAME)


def test_a_picture_may_be_kept_for_ever_and_costs_no_query(client: Client, picture: bytes) -> None:
    answer = client.get(f"/media/{NAME}")
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, picture, "image/jpeg")
    assert answer["Cache-Control"] == media.FOR_EVER
    assert not answer.cookies
    head = client.head(f"/media/{NAME}")
    assert (head.status_code, head.content, head["Content-Length"]) == (200, b"", str(len(picture)))


@pytest.mark.parametrize(
    "name",
    [
        "shop/ab/none.jpg",
        "shop",
        "shop/ab",
        "../secret_key",
        "..%2fstampede.sqlite3",
        "shop/../../stampede.sqlite3",
        "shop/ab/../../../stampede.jpg",
        "/etc/passwd",
        "shop//ab.jpg",
        ".hidden.jpg",
        "shop/ab/abcdef-320.jpg%00",
        "shop/ab/abcdef-320.html",
        "x" * 300 + ".jpg",
    ],
)
def test_nothing_else_is_shown(client: Client, picture: bytes, name: str) -> None:
    outside = Path(default_storage.path("")).parent / "stampede.jpg"
    outside.write_bytes(b"secret")
    try:
        answer = client.get(f"/media/{name}")
        assert answer.status_code == 404
        assert b"secret" not in answer.content
        assert answer["Cache-Control"] == "no-store"
    finally:
        outside.unlink()


def test_a_picture_is_not_written(client: Client) -> None:
    assert client.post(f"/media/{NAME}", {"x": "y"}).status_code == 405


def told(**variables: str) -> list[str]:
    """MEDIA_URL and the CSP's sources of pictures, in a process with these settings."""
    code = "from config import settings as s; print(s.MEDIA_URL, *s.CONTENT_SECURITY_POLICY['DIRECTIVES']['img-src'])"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STAMPEDE_S3")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**environment, **variables}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_bucket_s_address_is_allowed_to_pages_and_the_folder_needs_none() -> None:
    assert settings.MEDIA_URL == "/media/"
    assert settings.CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"] == ["'self'", "data:"]
    assert told(STAMPEDE_MEDIA="s3", STAMPEDE_MEDIA_BUCKET="wares") == [
        "https://wares.s3.eu-central-1.amazonaws.com/",
        "'self'",
        "data:",
        "https://wares.s3.eu-central-1.amazonaws.com",
    ]
    assert told(STAMPEDE_MEDIA="s3", STAMPEDE_MEDIA_URL="https://cdn.example.org/shop/") == [
        "https://cdn.example.org/shop/",
        "'self'",
        "data:",
        "https://cdn.example.org",
    ]


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """A disk that is full in the middle of a file; Django's own storage keeps the first half for ever."""
    storage, content = media.WholeFiles(tmp_path / "whole"), ContentFile(b"x" * 50_000)
    plain = FileSystemStorage(tmp_path / "plain")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, hard))
    try:
        for one in (storage, plain):
            with pytest.raises(OSError, match="too large"):
                one.save(NAME, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (storage.exists(NAME), plain.exists(NAME)) == (False, True)
    assert [path for path in (tmp_path / "whole").rglob("*") if path.is_file()] == []
    storage.save(NAME, content)
    assert storage.size(NAME) == 50_000
    assert Path(storage.path(NAME)).stat().st_mode & 0o777 == 0o644  # another user's nginx reads it
