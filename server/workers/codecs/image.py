"""An image as the whole body: one row of a model whose only input is an image. Replies are JSON.

What the bytes hold is not looked at here: the runtime that decodes images tells what is wrong with one.
"""

from __future__ import annotations

from server.wire.schema import Schema
from server.workers.codecs import Encoder, Question
from server.workers.codecs.json import JSON
from server.workers.errors import Invalid
from server.workers.predictions import Predictions


class ImageCodec:
    """The codec for images."""

    takes_query = True

    def decode(self, body: bytes | memoryview, schema: Schema, parameters: bytes = b"") -> Question:
        """Take one body. Raises Invalid where the model takes anything but an image."""
        if [i.type for i in schema.inputs] != ["image"]:
            raise Invalid("this model does not take an image as its body")
        return Question([[bytes(body)]], 1)

    def encoder(
        self, model: str, version: str, predictions: Predictions, schema: Schema | None = None, output: str = ""
    ) -> Encoder:
        """Prepare a batch."""
        return JSON.encoder(model, version, predictions)


IMAGE = ImageCodec()
