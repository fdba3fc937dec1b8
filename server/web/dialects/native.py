"""Tandem's own contract: `/v1/models/{model}/score`, in JSON, Arrow, CSV or images.

What goes wrong is told by problem documents (RFC 9457).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from server.web.dialects.dialect import ENCODINGS, Asked
from server.web.dialects.warnings import warning_line
from server.web.json_schema import is_raw, takes_image
from server.web.problems import DETAIL, Answer, Problem, ProblemError, problem
from server.wire.frames import BodyFormat, Result
from server.wire.snapshot import Entry

MEDIA_TYPES: dict[bytes, int] = {
    b"application/json": BodyFormat.JSON,
    b"application/vnd.apache.arrow.stream": BodyFormat.ARROW,
    b"text/csv": BodyFormat.CSV,
}
"""Media types of bodies and of replies."""
IMAGE_TYPES: dict[bytes, int] = {b"image/jpeg": BodyFormat.JPEG, b"image/png": BodyFormat.PNG}
"""Media types of images. Each body is a row of a model whose only input is an image. It is answered in JSON."""
_IMAGES = frozenset(IMAGE_TYPES.values())
NAMES = {number: name for name, number in MEDIA_TYPES.items()}

_SCORE_PATH = re.compile(r"/v1/models/[^/]+(/versions/[^/]+)?/score")
_LINES = {number: b"content-type: %b\r\n" % name for number, name in NAMES.items()}


class Native:
    """Tandem's own contract, `/v1/models/{model}/score`."""

    name = "native"
    extended = None

    def mounts(self, entry: Entry) -> Mapping[str, bool]:
        """The path of the model, and that of its version."""
        path = f"/v1/models/{entry.name}"
        pinned = {f"{path}/versions/{entry.version}/score": True}
        return pinned | {f"{path}/score": False} if entry.current else pinned

    def leads(self, path: str) -> bool:
        """Whether a path is that of a model, known or not."""
        return _SCORE_PATH.fullmatch(path) is not None

    def owns(self, path: str) -> bool:
        """True for every path: what no other dialect owns is written in this form."""
        return True

    def negotiated(self, headers: Mapping[bytes, bytes], entry: Entry) -> Asked:
        """The form and encoding of the body, and the form of the reply: the body's, unless a header says otherwise."""
        found = _understood(headers.get(b"content-type"), headers.get(b"content-encoding"), headers.get(b"accept"))
        content, _, encoding, _ = found
        if is_raw(entry):  # a script takes text and answers in JSON, whatever else is wanted
            if content not in (BodyFormat.JSON, BodyFormat.CSV):
                raise ProblemError(problem("unsupported_media_type"))
            return Asked(content, BodyFormat.JSON, encoding)
        if content in _IMAGES and not takes_image(entry):
            told = "This model does not take an image. " + DETAIL["unsupported_media_type"]
            raise ProblemError(problem("unsupported_media_type", told))
        return found

    def content_lines(self, accept: int, result: Result) -> bytes:
        """The line for the media type, and one for warnings where the body has no place for them."""
        if result.notes:
            return _LINES[accept] + warning_line(result.notes)
        return _LINES[accept]

    def refusal(self, problem: Problem, request_id: str) -> Answer:
        """The answer to a request that went wrong: a problem document."""
        return problem.message(request_id)


NATIVE = Native()


@lru_cache(maxsize=64)  # of successes only, and a head has 64 KiB at most
def _understood(content_type: bytes | None, encoded: bytes | None, accept: bytes | None) -> Asked:
    """What headers mean for a model that takes everything. It is kept: a client sends the same ones again and again."""
    name = _bare(content_type or b"")
    content = MEDIA_TYPES.get(name)
    like = BodyFormat.JSON if content is None else content
    if content is None:
        content = IMAGE_TYPES.get(name)
    if content is None:
        raise ProblemError(problem("unsupported_media_type"))
    encoding = ENCODINGS.get(b"identity" if encoded is None else encoded.lower())
    if encoding is None:
        raise ProblemError(problem("unsupported_encoding"))
    return Asked(content, like if accept is None else _accepted(accept, like), encoding)


def _accepted(accept: bytes, content: int) -> int:
    """The media type that an Accept header likes best of those that we have; a wildcard means that of the request."""
    best, best_weight = None, 0.0
    for item in accept.lower().split(b","):
        media_type = _meant(_bare(item), content)
        weight = _WEIGHT.search(item)
        if media_type is not None and (liked := float(weight[1]) if weight else 1.0) > best_weight:
            best, best_weight = media_type, liked
    if best is None:
        raise ProblemError(problem("not_acceptable"))
    return best


_WEIGHT = re.compile(rb";[ \t]*q=([01](?:\.\d{0,3})?)[ \t]*(?:;|$)")


def _meant(name: bytes, content: int) -> int | None:
    if name in (b"*/*", b"") or (name.endswith(b"/*") and NAMES[content].startswith(name[:-1])):
        return content
    wild = {b"application/*": BodyFormat.JSON, b"text/*": BodyFormat.CSV}
    return MEDIA_TYPES.get(name) or wild.get(name)


def _bare(value: bytes) -> bytes:
    return value.partition(b";")[0].strip().lower()
