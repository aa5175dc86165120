"""Amazon S3, or another store that speaks its language, as Django's storage of files that never change.

What is saved is kept under the name it was given, so that who saves it again changes nothing, and may be kept by
browsers for ever. Addresses are plain, not signed: the bucket, or what stands before it, answers everybody.
Credentials come by boto's usual ways (environment, file, role).
"""

from __future__ import annotations  # File is generic for the type checker only

import mimetypes
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage

from config.media import FOR_EVER

CONNECT_SECONDS = 5
READ_SECONDS = 20
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_REFUSED = {"403", "AccessDenied", "Forbidden"}
# Who may not list a bucket is told 403 for what is not there: a store does not tell strangers what it has.
_NEEDED = "it takes s3:ListBucket on the bucket, s3:GetObject and s3:PutObject on what is in it (docs/settings.md)"


class S3Storage(Storage):
    """Errors other than a missing file and a missing permission are botocore's: `BotoCoreError`, `ClientError`."""

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        return name

    def _save(self, name: str, content: File[Any]) -> str:
        content.seek(0)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        try:
            _client().put_object(
                Bucket=settings.S3_BUCKET, Key=name, Body=content.read(), ContentType=kind, CacheControl=FOR_EVER
            )
        except ClientError as error:
            raise _as_file_error(error, name) from error
        return name

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        """Raises `FileNotFoundError`, `PermissionError`. Whole, in memory: pictures are small."""
        try:
            answer = _client().get_object(Bucket=settings.S3_BUCKET, Key=name)
        except ClientError as error:
            raise _as_file_error(error, name) from error
        return ContentFile(answer["Body"].read(), name)

    def exists(self, name: str) -> bool:
        """Raises `PermissionError` where a missing file is not told from a forbidden one."""
        try:
            self._head(name)
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        """Bytes. Raises `FileNotFoundError`."""
        return int(self._head(name)["ContentLength"])

    def delete(self, name: str) -> None:
        _client().delete_object(Bucket=settings.S3_BUCKET, Key=name)

    def url(self, name: str | None) -> str:
        return f"{settings.MEDIA_URL}{name}"

    def _head(self, name: str) -> dict[str, Any]:
        try:
            return dict(_client().head_object(Bucket=settings.S3_BUCKET, Key=name))
        except ClientError as error:
            raise _as_file_error(error, name) from error


def _as_file_error(error: ClientError, name: str) -> Exception:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _REFUSED:
        return PermissionError(f"the bucket {settings.S3_BUCKET} refuses {error.operation_name} of {name}: {_NEEDED}")
    return FileNotFoundError(f"{name} is not in the bucket") if code in _ABSENT else error


@cache
def _client() -> Any:
    """One a process: it may be used by several threads, and making it costs a tenth of a second."""
    return boto3.client(
        "s3",
        region_name=settings.S3_REGION,
        endpoint_url=settings.S3_ENDPOINT or None,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard"},
            # An emulator has one host name, and no other for each bucket.
            s3={"addressing_style": "path" if settings.S3_ENDPOINT else "auto"},
        ),
    )
