"""The object store through boto3, off the event loop and with a bounded number of threads.

Errors leave as the vocabulary of `penstock.errors`. Credentials never appear in a message.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from penstock.errors import Refused, RetryLater
from penstock.store.layout import Place

_T = TypeVar("_T")
_THERE_IS_ONE = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
"""How a store says that it has not written what was to be written only in nobody's place."""
_UNDER_WAY: set[Future[Any]] = set()
"""Calls in threads that have not ended."""
_BATCH = 1000
_CHUNK = 1 << 16
_JSON_LIMIT = 64 << 20
_THREADS = 8
_HTTP_OK_TO_RETRY = frozenset({408, 429})
_SERVER_ERROR = 500
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_PASSING = frozenset(
    {"InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "ThrottlingException"}
)
"""Words of S3 for one key of a batch after which the same may be tried again."""


@dataclass(frozen=True)
class Stored:
    """One object: key, size in bytes, time of the last write (the store's clock)."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Access:
    """How to reach a store. The keys are a secret: this type has no readable form."""

    place: Place
    endpoint: str | None
    region: str | None
    path_style: bool
    access_key: str | None
    secret_key: str | None
    profile: str | None = None
    """A profile of the AWS configuration of who runs this; the command line's, never the operator's."""

    def __repr__(self) -> str:
        """Name the place only."""
        return f"Access({self.place.bucket!r})"


class ObjectStore:
    """One store: a bucket and a prefix, with the operator's credentials.

    Raises:
        Refused: when the endpoint or the region cannot be one, or there is no such profile.
    """

    _pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="s3")

    def __init__(self, access: Access) -> None:
        self.place = access.place
        try:
            self._s3 = _client(access)
        except (ValueError, BotoCoreError) as error:  # boto's own rules for endpoint, region and profile
            what = "profile" if access.profile else "spec.endpoint or spec.region"
            raise Refused(f"{what}: {error}", "EndpointInvalid") from None

    async def list(self, prefix: str) -> tuple[Stored, ...]:
        """Every object below a key prefix, in key order."""

        def work() -> tuple[Stored, ...]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.place.bucket, Prefix=prefix)
            return tuple(
                Stored(item["Key"], item["Size"], item["LastModified"])
                for page in pages
                for item in page.get("Contents", [])
            )

        return await self._call(f"list {prefix}", work)

    async def folders(self, prefix: str) -> tuple[str, ...]:
        """The names directly below a key prefix that have something below them."""

        def work() -> tuple[str, ...]:
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.place.bucket, Prefix=prefix, Delimiter="/"
            )
            return tuple(
                entry["Prefix"][len(prefix) :].rstrip("/") for page in pages for entry in page.get("CommonPrefixes", [])
            )

        return await self._call(f"list {prefix}", work)

    async def read(self, key: str, *, first: int | None = None, after: int = 0) -> bytes | None:
        """An object's bytes (only the `first` ones behind `after` others when given), or None when there is none."""

        def work() -> bytes | None:
            extra = {"Range": f"bytes={after}-{after + first - 1}"} if first else {}
            try:
                return bytes(self._s3.get_object(Bucket=self.place.bucket, Key=key, **extra)["Body"].read())
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                if error.response["Error"]["Code"] == "InvalidRange":
                    return b""  # it is empty, or shorter: there is no first byte
                raise

        return await self._call(f"read {key}", work)

    async def consume(self, key: str, use: Callable[[Iterator[bytes]], _T]) -> _T | None:
        """Hand an object's bytes to `use` in chunks of 64 KiB, or give None when there is none.

        `use` runs in a thread of the pool, and what it raises passes: the object is never in memory as a whole.
        """

        def work() -> _T | None:
            try:
                body = self._s3.get_object(Bucket=self.place.bucket, Key=key)["Body"]
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise
            with body:
                return use(body.iter_chunks(_CHUNK))

        return await self._call(f"read {key}", work)

    async def read_json(self, key: str) -> dict[str, Any] | None:
        """A JSON object, or None when it is missing, not one, or longer than 64 MiB: jobs may write there, too."""
        data = await self.read(key, first=_JSON_LIMIT)
        try:
            value = json.loads(data) if data else None
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    async def write_json(self, key: str, value: dict[str, Any]) -> None:
        """Write a JSON object, replacing what is there."""
        body = json.dumps(value, indent=2, sort_keys=True).encode()

        def work() -> None:
            self._s3.put_object(Bucket=self.place.bucket, Key=key, Body=body, ContentType="application/json")

        await self._call(f"write {key}", work)

    async def create_json(self, key: str, value: dict[str, Any]) -> None:
        """Write a JSON object unless there is one: that stays. A store that knows no conditions writes it all the same.

        What was there, or has come there first, only reading it says.
        """
        body = json.dumps(value, indent=2, sort_keys=True).encode()
        put = partial(self._s3.put_object, Bucket=self.place.bucket, Key=key, Body=body, ContentType="application/json")

        def work() -> None:
            try:
                put(IfNoneMatch="*")
            except ClientError as error:
                code = error.response["Error"].get("Code")
                if code == "NotImplemented":
                    put()
                elif code not in _THERE_IS_ONE:
                    raise

        await self._call(f"write {key}", work)

    async def head(self, key: str) -> Stored | None:
        """An object's size and time without its bytes, or None when there is none."""

        def work() -> Stored | None:
            try:
                answer = self._s3.head_object(Bucket=self.place.bucket, Key=key)
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise
            return Stored(key, answer["ContentLength"], answer["LastModified"])

        return await self._call(f"look at {key}", work)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, up to 1000 in a call. One that is not there counts as deleted.

        Raises:
            Refused: the store said no to at least one key of a call; the reason is its word, such as AccessDenied.
            RetryLater: it did not answer, had trouble of its own, or did not say what became of a key.
        """
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]

            def work(batch: Sequence[str] = batch) -> dict[str, Any]:
                objects = [{"Key": key} for key in batch]
                # Not quiet: a key of which nothing is said was perhaps never looked at.
                return dict(self._s3.delete_objects(Bucket=self.place.bucket, Delete={"Objects": objects}))

            self._check(batch, await self._call(f"delete {len(batch)} keys", work))

    def _check(self, batch: Sequence[str], answer: dict[str, Any]) -> None:
        """Errors stand in an answer with status 200, one for each key."""
        errors = [each for each in answer.get("Errors", []) if each.get("Code") not in _MISSING]
        if errors:
            first = min(errors, key=lambda each: each.get("Code") in _PASSING)
            code = str(first.get("Code") or "StoreRefused")
            said = f"{first.get('Key')}: {code} {first.get('Message') or ''}".strip()
            msg = f"bucket {self.place.bucket}: {len(errors)} of {len(batch)} keys were not deleted, first {said}"
            if code in _PASSING:
                raise RetryLater(msg)
            raise Refused(msg, code)
        told = {each.get("Key") for kind in ("Deleted", "Errors") for each in answer.get(kind, [])}
        untold = [key for key in batch if key not in told]
        if untold:
            msg = f"bucket {self.place.bucket} did not say what became of {len(untold)} keys, first {untold[0]}"
            raise RetryLater(msg)

    async def warnings(self) -> tuple[str, ...]:
        """What makes "gone" not gone in this bucket, as sentences; none where the store does not know."""
        questions: tuple[tuple[str, Callable[[], bool], str], ...] = (
            (
                "versioning",
                lambda: self._s3.get_bucket_versioning(Bucket=self.place.bucket).get("Status") == "Enabled",
                "versioning is on: what is deleted stays as an old version, and is paid for",
            ),
            (
                "object lock",
                lambda: bool(self._s3.get_object_lock_configuration(Bucket=self.place.bucket)),
                "object lock is configured: what is deleted may stay until its lock ends",
            ),
            (
                "lifecycle rules",
                lambda: bool(self._s3.get_bucket_lifecycle_configuration(Bucket=self.place.bucket).get("Rules")),
                "lifecycle rules are configured: they may delete checkpoints that are still needed",
            ),
        )
        found = []
        for what, ask, sentence in questions:
            try:
                if await self._call(f"ask for {what}", ask):
                    found.append(sentence)
            except Refused:
                continue  # not configured, not implemented, or not ours to ask
            except RetryLater:
                continue
        return tuple(found)

    @classmethod
    async def idle(cls, seconds: float) -> bool:
        """Let no call begin any more in this process, and wait for those that are under way; whether all have ended."""
        cls._pool.shutdown(wait=False, cancel_futures=True)
        left = list(_UNDER_WAY)
        return not left or not (await asyncio.to_thread(wait, left, seconds)).not_done

    async def _call(self, what: str, work: Callable[[], _T]) -> _T:
        try:
            future = self._pool.submit(work)
        except RuntimeError as error:
            raise RetryLater(f"{what}: this process ends") from error
        _UNDER_WAY.add(future)
        future.add_done_callback(_UNDER_WAY.discard)
        try:
            # A pass that is cancelled does not end the call in its thread.
            return await asyncio.wrap_future(future)
        except ClientError as error:
            code = str(error.response["Error"].get("Code", ""))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            msg = f"{what} in bucket {self.place.bucket}: {code} {error.response['Error'].get('Message', '')}".strip()
            if status >= _SERVER_ERROR or status in _HTTP_OK_TO_RETRY:
                raise RetryLater(msg) from error
            raise Refused(msg, code or "StoreRefused", status) from error
        except (BotoCoreError, OSError) as error:
            msg = f"{what} in bucket {self.place.bucket}: {type(error).__name__} {error}"
            raise RetryLater(msg) from error


def _client(access: Access) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    # boto3's own session is shared by all stores, and with it what it knows of S3.
    session = boto3.Session(profile_name=access.profile) if access.profile else boto3
    return session.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        config=Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=_THREADS,
            s3={"addressing_style": "path" if access.path_style else "virtual"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
