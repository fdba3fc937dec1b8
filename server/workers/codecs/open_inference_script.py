"""The Open Inference Protocol for a script: one tensor with the text that run() takes, one with its JSON."""

from __future__ import annotations

from server.workers.codecs.open_inference_message import Wanted, as_bytes, read, written
from server.workers.errors import BadBody

REPLY = "result"


def asked(body: bytes | memoryview, parameters: bytes) -> tuple[str, Wanted]:
    """The text for run(), and what is said of the reply. Raises BadBody."""
    message = read(body, parameters, 1)
    if len(message.tensors) != 1 or message.tensors[0].datatype != "BYTES" or len(message.tensors[0].values) != 1:
        raise BadBody("a script takes one tensor of one value of type BYTES: the text for run()")
    if message.outputs not in ((), (REPLY,)):
        raise BadBody(f'a script has one output, "{REPLY}"')
    [value] = message.tensors[0].values
    try:
        return value.decode() if type(value) is bytes else str(value or ""), message.wanted
    except UnicodeDecodeError as e:
        raise BadBody(f"the tensor's value is not text in UTF-8 (byte {e.start})") from e


def answered(model: str, version: str, reply: bytes, wanted: Wanted) -> tuple[bytes, bytes]:
    """The script's reply as a tensor of one text; as notes the length of the head, where bytes follow it."""
    tensor = {"name": REPLY, "datatype": "BYTES", "shape": [1]}
    head = {"model_name": model, "model_version": version} | ({} if wanted.id is None else {"id": wanted.id})
    if not wanted.binary.get(REPLY, wanted.otherwise):
        return written(head | {"outputs": [tensor | {"data": [reply.decode()]}]}, [])
    blob = as_bytes([reply])
    return written(head | {"outputs": [tensor | {"parameters": {"binary_data_size": len(blob)}}]}, [blob])
