"""Which codec is for which body format."""

from __future__ import annotations

from server.wire.frames import BodyFormat
from server.workers.codecs import Codec
from server.workers.codecs.arrow import ARROW
from server.workers.codecs.azureml import AZUREML
from server.workers.codecs.csv import CSV
from server.workers.codecs.image import IMAGE
from server.workers.codecs.json import JSON
from server.workers.codecs.kserve_v1 import KSERVE_V1
from server.workers.codecs.mlflow import MLFLOW
from server.workers.codecs.mls import MLS
from server.workers.codecs.open_inference import OPEN_INFERENCE
from server.workers.codecs.vetiver import VETIVER, VETIVER_PYTHON
from server.workers.errors import BadBody

_CODECS: dict[int, Codec] = {
    BodyFormat.JSON: JSON,
    BodyFormat.ARROW: ARROW,
    BodyFormat.CSV: CSV,
    BodyFormat.JPEG: IMAGE,
    BodyFormat.PNG: IMAGE,
    BodyFormat.OPEN_INFERENCE: OPEN_INFERENCE,
    BodyFormat.KSERVE_V1: KSERVE_V1,
    BodyFormat.MLFLOW: MLFLOW,
    BodyFormat.AZUREML: AZUREML,
    BodyFormat.MLS: MLS,
    BodyFormat.VETIVER: VETIVER,
    BodyFormat.VETIVER_PYTHON: VETIVER_PYTHON,
}


def codec(body_format: int) -> Codec:
    """The codec for a body format that came over the wire. Raises BadBody for one that this worker does not have."""
    if body_format not in _CODECS:
        raise BadBody("this media type is not supported")
    return _CODECS[body_format]
