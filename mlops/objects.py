"""A store of objects: a folder, or a bucket of Azure, S3 or Google Cloud.

Owns how objects are created, read, listed and removed. Must not know what is in them. Creating an object succeeds only
if there is none of its name, whoever tries at the same time: everything that has to be decided once is decided by that.
The credentials of a bucket are those that its own tools take from the environment (`AZURE_…`, `AWS_…`, `GOOGLE_…`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import obstore
from obstore import exceptions
from obstore.store import LocalStore, from_url

BUCKETS: Final = ("az://", "s3://", "gs://")
"""How the address of a bucket begins. Any other address is the path of a folder."""
CHUNK_BYTES: Final = 4 << 20
PATIENCE: Final = timedelta(seconds=10)
"""How long requests to a bucket that does not answer are repeated."""
_NO_BUCKET: Final = ("ContainerNotFound", "NoSuchBucket", "bucket does not exist")
"""Codes of replies that say that the bucket itself is not there."""
ONE_REQUEST: Final = timedelta(seconds=120)


class StoreUnavailable(Exception):
    """The store cannot be reached or used. The text says which store, and why."""


class Objects:
    """The objects of a store, below an address."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        try:
            self._store: Any = _opened(self.address)
        except (exceptions.BaseError, OSError, ValueError) as e:
            raise StoreUnavailable(f"the store {self.address} cannot be opened: {_first_line(e)}") from e

    def create(self, path: str, data: bytes) -> bool:
        """Create an object. False if there is one of this name already, which then stays as it is."""
        with self._asking():
            try:
                obstore.put(self._store, path, data, mode="create")
            except exceptions.AlreadyExistsError:
                return False
        return True

    def put_file(self, path: str, file: Path) -> None:
        """Put the bytes of a file under a name that stands for these bytes. So it makes no difference who puts them."""
        with self._asking():
            obstore.put(self._store, path, file)

    def read(self, path: str) -> bytes | None:
        """The bytes of an object; None if there is none."""
        try:
            with self._asking():
                return bytes(obstore.get(self._store, path).bytes())
        except FileNotFoundError:
            return None

    def pieces(self, path: str) -> Iterator[bytes]:
        """The bytes of an object, piece by piece. Raises FileNotFoundError."""
        with self._asking():
            for piece in obstore.get(self._store, path).stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(piece)

    def modified(self, path: str) -> datetime | None:
        """When an object was put; None if there is none."""
        try:
            with self._asking():
                found: datetime = obstore.head(self._store, path)["last_modified"]
        except FileNotFoundError:
            return None
        return found

    def names(self, folder: str) -> list[str]:
        """The names of the objects in a folder, without those of its folders, in order."""
        with self._asking():
            listed = obstore.list_with_delimiter(self._store, folder)
        return sorted(one["path"].rpartition("/")[2] for one in listed["objects"])

    def folders(self, folder: str) -> list[str]:
        """The names of the folders in a folder, in order."""
        with self._asking():
            listed = obstore.list_with_delimiter(self._store, folder)
        return sorted(str(one).rpartition("/")[2] for one in listed["common_prefixes"])

    def remove(self, path: str) -> None:
        """Remove an object, if it is there."""
        with suppress(FileNotFoundError), self._asking():
            obstore.delete(self._store, path)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as e:
            if not any(mark in str(e) for mark in _NO_BUCKET):
                raise
            raise StoreUnavailable(f"the store {self.address} is not there: make the container or bucket first") from e
        except (exceptions.BaseError, OSError) as e:
            raise StoreUnavailable(f"the store {self.address} cannot be used: {_first_line(e)}") from e


def _opened(address: str) -> Any:
    if not address.startswith(BUCKETS):
        return LocalStore(Path(address).absolute(), mkdir=True)
    retry: Any = {"max_retries": 5, "retry_timeout": PATIENCE}
    return from_url(address, client_options={"timeout": ONE_REQUEST, "allow_http": True}, retry_config=retry)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
