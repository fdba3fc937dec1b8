"""Which codec is for which media type."""

from __future__ import annotations

from server.wire.frames import MediaType
from server.workers.codecs import Codec
from server.workers.codecs.arrow import ARROW
from server.workers.codecs.csv import CSV
from server.workers.codecs.image import IMAGE
from server.workers.codecs.json import JSON
from server.workers.errors import BadBody

_CODECS: dict[int, Codec] = {
    MediaType.JSON: JSON,
    MediaType.ARROW: ARROW,
    MediaType.CSV: CSV,
    MediaType.JPEG: IMAGE,
    MediaType.PNG: IMAGE,
}


def codec(media_type: int) -> Codec:
    """The codec for a media type as it came over the wire. Raises BadBody for one this worker does not have."""
    if media_type not in _CODECS:
        raise BadBody("this media type is not supported")
    return _CODECS[media_type]
