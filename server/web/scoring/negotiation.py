"""What a request's headers ask for: how its body is written, how the reply shall be, how long it may take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from auth.key_text import has_key
from server.web.json_schema import takes_image
from server.web.problems import DETAIL, KEY_IN_URL, Problem, problem
from server.web.scoring.target import Target
from server.wire.frames import BodyFormat, Encoding

MEDIA_TYPES: dict[bytes, int] = {
    b"application/json": BodyFormat.JSON,
    b"application/vnd.apache.arrow.stream": BodyFormat.ARROW,
    b"text/csv": BodyFormat.CSV,
}
"""Media types of bodies and of replies."""
IMAGE_TYPES: dict[bytes, int] = {b"image/jpeg": BodyFormat.JPEG, b"image/png": BodyFormat.PNG}
"""Media types of bodies only, each a row of a model whose only input is an image; it is answered in JSON."""
NAMES = {number: name for name, number in MEDIA_TYPES.items()}
ENCODINGS: dict[bytes, int] = {b"identity": Encoding.IDENTITY, b"gzip": Encoding.GZIP, b"zstd": Encoding.ZSTD}

_MILLISECONDS = re.compile(rb"[1-9][0-9]{0,9}")


class Stop(Exception):
    """The request is answered with this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def refuse_keys(query: bytes) -> None:
    """Raise `Stop` where an API key stands in the query."""
    if has_key(query):
        raise Stop(problem("bad_request", KEY_IN_URL))


def negotiated(headers: Mapping[bytes, bytes], target: Target) -> tuple[int, int, int]:
    """The body's format, the reply's, and the body's encoding; a reply is like its request if nothing is said.

    Raises Stop where the target or this server cannot do that.
    """
    found = _understood(headers.get(b"content-type"), headers.get(b"content-encoding"), headers.get(b"accept"))
    content, _, encoding = found
    if target.raw:  # a script takes text and answers in JSON, whatever else is wanted
        if content not in (BodyFormat.JSON, BodyFormat.CSV):
            raise Stop(problem("unsupported_media_type"))
        return content, BodyFormat.JSON, encoding
    if content in IMAGE_TYPES.values() and not takes_image(target.entry):
        told = "This model does not take an image. " + DETAIL["unsupported_media_type"]
        raise Stop(problem("unsupported_media_type", told))
    return found


@lru_cache(maxsize=64)  # of successes only, and a head has 64 KiB at most
def _understood(content_type: bytes | None, encoded: bytes | None, accept: bytes | None) -> tuple[int, int, int]:
    """What headers mean for a model that takes everything; a client sends the same ones again and again."""
    name = _bare(content_type or b"")
    content = MEDIA_TYPES.get(name)
    like = BodyFormat.JSON if content is None else content
    if content is None:
        content = IMAGE_TYPES.get(name)
    if content is None:
        raise Stop(problem("unsupported_media_type"))
    encoding = ENCODINGS.get(b"identity" if encoded is None else encoded.lower())
    if encoding is None:
        raise Stop(problem("unsupported_encoding"))
    return content, like if accept is None else _accepted(accept, like), encoding


def _accepted(accept: bytes, content: int) -> int:
    """The format that an Accept header likes best of those that we have; a wildcard means that of the request."""
    best, best_weight = None, 0.0
    for item in accept.lower().split(b","):
        body_format = _meant(_bare(item), content)
        weight = _WEIGHT.search(item)
        if body_format is not None and (liked := float(weight[1]) if weight else 1.0) > best_weight:
            best, best_weight = body_format, liked
    if best is None:
        raise Stop(problem("not_acceptable"))
    return best


_WEIGHT = re.compile(rb";[ \t]*q=([01](?:\.\d{0,3})?)[ \t]*(?:;|$)")


def _meant(name: bytes, content: int) -> int | None:
    if name in (b"*/*", b"") or (name.endswith(b"/*") and NAMES[content].startswith(name[:-1])):
        return content
    wild = {b"application/*": BodyFormat.JSON, b"text/*": BodyFormat.CSV}
    return MEDIA_TYPES.get(name) or wild.get(name)


def _bare(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()


def timeout_s(headers: Mapping[bytes, bytes], target: Target) -> float:
    """How long this request may take: what its sender says, at most what the model is given."""
    said = headers.get(b"x-request-timeout-ms")
    if said is not None and not _MILLISECONDS.fullmatch(said):
        raise Stop(problem("bad_request", "X-Request-Timeout-Ms is a whole number of milliseconds, at least 1."))
    if said is None:  # what Envoy and Istio tell of the time that they will wait
        said = headers.get(b"x-envoy-expected-rq-timeout-ms")
        if said is None or not _MILLISECONDS.fullmatch(said):
            return target.timeout_s
    return min(int(said) / 1000, target.timeout_s)
