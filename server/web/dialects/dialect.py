"""What a dialect is: the contract of a server that clients know, for our models.

A dialect has two halves that never meet. This one says by which paths a model is asked, what headers mean and how it
is told what went wrong; the other is a codec in the worker (`server/workers/codecs`). The two agree by a number, the
form of the body, and by a string of bytes each way: a request's parameters and a result's notes. All requests end as
the same `Request` of the dispatcher, so batches, deadlines and bits are the same in every dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from server.web.problems import Answer, Problem
from server.wire.frames import Encoding, Result
from server.wire.snapshot import Entry

ENCODINGS: Mapping[bytes, int] = {
    b"identity": Encoding.IDENTITY,
    b"gzip": Encoding.GZIP,
    b"deflate": Encoding.DEFLATE,
    b"zstd": Encoding.ZSTD,
}
"""The ways in which a body may be compressed, in every dialect."""


class Asked(NamedTuple):
    """What the headers of a request ask for, as numbers of the wire."""

    content: int
    accept: int
    encoding: int
    parameters: bytes | None = None
    """What the codec is given beside the body. None where that is the query of the address."""


class Head(Protocol):
    """The head of a request."""

    method: bytes
    path: str
    query: bytes
    headers: dict[bytes, bytes]


class Extended(Protocol):
    """What a contract has beyond a body that is posted to a path, and an answer of status 200."""

    def path(self, asking: Head) -> str:
        """The path of the model that shall answer. A header may name the version."""

    def methods(self, entry: Entry) -> Sequence[str]:
        """The methods by which a model may be asked."""

    def at_once(self, asking: Head, entry: Entry) -> Answer | None:
        """The answer to a method that asks nothing of the model."""

    def parameters(self, asking: Head, entry: Entry) -> bytes:
        """What the codec is given beside the body."""

    def answered(self, result: Result, entry: Entry, predict_s: float) -> tuple[int, bytes]:
        """The status of a good answer, and the lines of its head. Raises WireError for notes that are not ours."""

    def in_own_words(self, problem: Problem, timeout_s: float) -> Problem:
        """The problem in the contract's own words, where they differ from those of the code."""

    def echoed(self, headers: Mapping[bytes, bytes], request_id: str) -> bytes:
        """Lines for the head of every answer: what it repeats of its request."""


class Dialect(Protocol):
    """The HTTP half of one contract."""

    name: str
    """The dialect's name in metrics and log."""

    @property
    def extended(self) -> Extended | None:
        """What the contract has beyond a body that is posted and an answer of status 200; None for most."""

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The paths at which a model version is asked, each with whether it names the version."""

    def leads(self, path: str) -> bool:
        """Whether requests for this path are scoring requests of this dialect; there may be no such model."""

    def owns(self, path: str) -> bool:
        """Whether problems at this path are written in the form of this dialect, on other routes too."""

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """What the headers ask of this model. Raises ProblemError where the model or this server cannot do that."""

    def content_lines(self, accept: int, result: Result) -> bytes:
        """Lines for the head of a good answer: the form of its body, and what the body has no place for."""

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The whole answer to a request that went wrong."""


class Dialects:
    """The dialects that a server speaks. The last one owns every path that no other does."""

    def __init__(self, *dialects: Dialect) -> None:
        self._dialects: Sequence[Dialect] = dialects

    def __iter__(self) -> Iterator[Dialect]:
        return iter(self._dialects)

    def mounts(self, entry: Entry) -> Iterator[tuple[str, bool, Dialect]]:
        """Each path at which a model version is asked, whether the path names the version, and in which dialect."""
        for dialect in self._dialects:
            for path, pinned in dialect.mounts(entry).items():
                yield path, pinned, dialect

    def leads(self, path: str) -> bool:
        """Whether requests for this path are scoring requests of one of the dialects."""
        return any(dialect.leads(path) for dialect in self._dialects)

    def of(self, path: str) -> Dialect:
        """The dialect in whose form problems at a path are written."""
        *others, last = self._dialects
        return next((dialect for dialect in others if dialect.owns(path)), last)

    def echoed(self, path: str, headers: Mapping[bytes, bytes], request_id: str) -> bytes:
        """Lines for the head of every answer at a path: what it repeats of its request."""
        extended = self.of(path).extended
        return b"" if extended is None else extended.echoed(headers, request_id)

    def refusal(self, path: str, problem: Problem, request_id: str) -> Answer:
        """The whole answer to a request that went wrong, in the form of the dialect that owns its path."""
        return self.of(path).refusal(problem, request_id)
