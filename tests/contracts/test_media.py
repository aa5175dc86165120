"""Pictures in the data folder and in a bucket: whoever saves and shows them does not see where they are."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import boto3
import pytest
from botocore.exceptions import ClientError
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from pytest_django import Settings

from config import media
from tests.contracts import sqs_servers

BUCKET = "pictures"
NAME = "shop/ab/abc-320.jpg"


@pytest.fixture(scope="module")
def emulator() -> Iterator[sqs_servers.Server]:
    """The one that speaks SQS; it speaks S3 as well."""
    with sqs_servers.server() as running:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": sqs_servers.REGION}
        boto3.client("s3", endpoint_url=running.endpoint, **keys).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": sqs_servers.REGION}
        )
        yield running


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "folder":
        yield media.WholeFiles(tmp_path, base_url="/media/")
        return
    from config import s3

    server = request.getfixturevalue("emulator")
    settings.S3_BUCKET, settings.S3_ENDPOINT = BUCKET, server.endpoint
    settings.MEDIA_URL = f"{server.endpoint}/{BUCKET}/"
    s3._client.cache_clear()
    yield s3.S3Storage()
    s3._client.cache_clear()


def test_what_is_saved_is_there_until_it_is_deleted(storage: Storage) -> None:
    assert not storage.exists(NAME)
    assert storage.save(NAME, ContentFile(b"\xff\xd8picture")) == NAME
    assert storage.exists(NAME)
    assert storage.size(NAME) == 9
    with storage.open(NAME) as file:
        assert file.read() == b"\xff\xd8picture"
    storage.delete(NAME)
    assert not storage.exists(NAME)
    with pytest.raises(FileNotFoundError):
        storage.open(NAME)
    with pytest.raises(FileNotFoundError):
        storage.size(NAME)


def test_what_is_saved_again_takes_the_place_of_what_was_there(storage: Storage) -> None:
    """So what is drawn again mends what was broken, under the name that pages know."""
    for content in (b"half", b"the whole"):
        assert storage.save(NAME, ContentFile(content)) == NAME
    with storage.open(NAME) as file:
        assert file.read() == b"the whole"
    storage.delete(NAME)


class Refuses(BaseHTTPRequestHandler):
    """A store that lets nobody list: what is not there is forbidden."""

    def do_HEAD(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_HEAD

    def log_message(self, *_: object) -> None:
        pass


def test_a_bucket_that_may_not_be_listed_says_which_permission_is_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from config import s3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings.S3_BUCKET, settings.S3_ENDPOINT = BUCKET, f"http://127.0.0.1:{server.server_port}"
        settings.S3_REGION = sqs_servers.REGION
        s3._client.cache_clear()
        storage = s3.S3Storage()
        for ask in (storage.exists, storage.open, lambda name: storage.save(name, ContentFile(b"x"))):
            with pytest.raises(PermissionError, match="s3:ListBucket"):
                ask(NAME)
        s3._client.cache_clear()
        server.shutdown()


@pytest.mark.parametrize("storage", ["s3"], indirect=True)
def test_a_browser_finds_it_in_the_bucket_and_may_keep_it_for_ever(storage: Storage) -> None:
    from config import s3

    asked: list[Any] = []
    s3._client().meta.events.register("before-send.s3.PutObject", lambda request, **_: asked.append(request.headers))
    storage.save(NAME, ContentFile(b"\xff\xd8picture"))
    with urlopen(storage.url(NAME), timeout=5) as answer:  # as anybody, without keys
        assert answer.read() == b"\xff\xd8picture"
        assert answer.headers["Content-Type"] == "image/jpeg"
    (headers,) = asked  # S3 says what it was told; this emulator does not
    assert headers["Cache-Control"].decode() == media.FOR_EVER
    storage.delete(NAME)


@pytest.mark.parametrize("storage", ["s3"], indirect=True)
def test_saving_again_keeps_the_name(storage: Storage) -> None:
    assert {storage.save(NAME, ContentFile(content)) for content in (b"one", b"two")} == {NAME}
    assert storage.size(NAME) == 3
    storage.delete(NAME)


@pytest.mark.parametrize("storage", ["s3"], indirect=True)
def test_a_bucket_that_is_not_there_is_no_missing_picture(storage: Storage, settings: Settings) -> None:
    settings.S3_BUCKET = "nobodys"
    with pytest.raises(ClientError, match="NoSuchBucket"):
        storage.save(NAME, ContentFile(b"x"))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        storage.open(NAME)
