"""Azure's contract of a scoring script: what run() is called with, and what becomes of what it returns.

run() takes the body as text, the whole request where it is decorated with @rawhttp, or arguments by name where it is
decorated with @input_schema; and `request_headers` beside that. It returns what shall be JSON, or a whole response.
A script asked in another dialect is called in the same way, with a request that has no headers.

The libraries that a script may use for this are known by what they do, and are imported by the script alone.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from server.wire import heads
from server.wire.heads import RequestHead
from server.workers.errors import BadBody, Invalid, LoadFailed, NotJson, ScriptFailed, UnsupportedType

RAW_HTTP = (
    "server.workers.script.azureml_http",
    "azureml_inference_server_http.api.aml_request",
    "azureml.contrib.services.aml_request",
)
"""Modules whose `rawhttp` a script may have used: ours, or another in an environment of its own."""
HEADERS = "request_headers"
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
"""What Azure's server says of a script that has raised an error; the error itself goes to the log."""

MAX_SWAGGER_BYTES = 16 << 10
"""How much the description of a script may take, which every web process holds."""
_RUN_FAILED = "x-ms-run-function-failed"
_JSON_TYPE = re.compile(r"application/(json|.*\+json)")

Run = Callable[..., Any]
"""A script's run()."""
Call = Callable[[], Any]
"""run() with its arguments."""


_PLAIN = RequestHead("POST", "", {"content-type": "application/json"})
"""What a script is shown of a request in a dialect that shows nothing."""


class ScriptRequest(NamedTuple):
    """A request to a script, and whether it came in Azure's own dialect."""

    body: bytes | memoryview
    head: RequestHead = _PLAIN
    azure: bool = False


Caller = Callable[[ScriptRequest], Call | None]
"""Makes a request a call of run(); None for a method that asks nothing of it. Raises BadBody, or UnsupportedType."""


def caller(run: Run) -> Caller:
    """How this run() is called. Raises TypeError where it does not take that, LoadFailed where it asks for too much."""
    try:
        signature: inspect.Signature | None = inspect.signature(run)
    except ValueError:  # written in C, it does not tell
        signature = None
    parameters = list(signature.parameters.values()) if signature is not None else []
    takes_headers = any(parameter.name == HEADERS for parameter in parameters)
    others = [parameter for parameter in parameters if parameter.name != HEADERS]
    raw = any(getattr(sys.modules.get(name), "_rawHttpRequested", False) for name in RAW_HTTP)
    decorated = _is_decorated(run)
    if raw and decorated:
        raise LoadFailed("bad_script", "run() has both @rawhttp and @input_schema; keep one of them")
    if takes_headers and not others:
        raise LoadFailed("bad_script", "run() takes request_headers alone; it needs another argument for the body")
    if decorated:
        return partial(_by_name, run, others, takes_headers)
    by_place = partial(_by_place, run, others[0].name if takes_headers else None, _whole() if raw else _text)
    if takes_headers and signature is not None:
        signature.bind(**{others[0].name: "", HEADERS: {}})
    elif signature is not None:
        signature.bind("")
    return by_place


def _is_decorated(run: Run) -> bool:
    library = sys.modules.get("inference_schema.schema_util")
    return library is not None and bool(library.is_schema_decorated(run))


def swagger_of(run: Run) -> dict[str, Any] | None:
    """What the decorators of run() say of its arguments and its answer; None where they say nothing, or too much."""
    if not _is_decorated(run):
        return None
    library = sys.modules["inference_schema.schema_util"]
    named = {"2.0": "2", "3.0": "3", "3.1": "3.1"}
    said = {
        "input": library.get_input_schema(run),
        "output": library.get_output_schema(run),
        "versions": [named[version] for version in library.get_supported_versions(run) if version in named],
    }
    try:
        text = orjson.dumps(said)
    except TypeError:
        return None
    return orjson.loads(text) if len(text) <= MAX_SWAGGER_BYTES else None


def _by_place(run: Run, name: str | None, read: Callable[[ScriptRequest], Any], request: ScriptRequest) -> Call | None:
    """A call with one argument; `name` is what it is called by where the headers are another."""
    if request.head.method not in ("GET", "POST") and read is _text:
        return None
    given = read(request)
    return partial(run, given) if name is None else partial(run, **{name: given, HEADERS: headers_of(request)})


def _by_name(run: Run, parameters: list[inspect.Parameter], takes_headers: bool, request: ScriptRequest) -> Call | None:
    """A call with arguments that stand in the body, or in the query, by their names."""
    if request.head.method not in ("GET", "POST"):
        return None
    given = _of_query(request) if request.head.method == "GET" else _document(request)
    arguments: dict[str, Any] = {HEADERS: headers_of(request)} if takes_headers else {}
    for parameter in parameters:
        value = given.get(parameter.name, parameter.default)
        if value is inspect.Parameter.empty:
            raise BadBody(f"A value is not provided for the {parameter.name!r} parameter.")
        arguments[parameter.name] = value
    return partial(run, **arguments)


# What a script is given


def headers_of(request: ScriptRequest) -> dict[str, str]:
    """The headers by names as WSGI has them, `X-Ms-Request-Id`: scripts look for them so."""
    return {name.title(): value for name, value in request.head.headers.items()}


def _whole() -> Callable[[ScriptRequest], Any]:
    from server.workers.script.azureml_http import request_of  # and Werkzeug, for a script that wants it

    return lambda request: request_of(request.head, bytes(request.body))


def _text(request: ScriptRequest) -> str:
    if request.head.method == "GET":
        return json.dumps(_of_query(request))
    try:
        return str(request.body, "utf-8")
    except UnicodeDecodeError as e:
        if request.azure:
            raise BadBody(f"Input cannot be decoded as UTF-8: {e}") from e
        raise BadBody(f"the body is not text in UTF-8 (byte {e.start})") from e


def _of_query(request: ScriptRequest) -> dict[str, Any]:
    """The query's parameters, each as JSON where it is JSON; one that is there twice is a list."""
    found: dict[str, list[Any]] = {}
    try:
        pairs = parse_qsl(request.head.query, keep_blank_values=True)
    except ValueError as e:
        raise BadBody("The query cannot be read.") from e
    for name, text in pairs:
        found.setdefault(name, []).append(_value(text))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _document(request: ScriptRequest) -> Mapping[str, Any]:
    media_type = request.head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON_TYPE.fullmatch(media_type):
        raise UnsupportedType("Expects Content-Type to be application/json")
    if not request.body:
        raise BadBody("POST body is empty. Expecting a JSON dictionary.")
    try:
        document = json.loads(bytes(request.body))
    except (ValueError, RecursionError) as e:
        raise BadBody(f"POST body could not be decoded as JSON: {e}") from e
    if not isinstance(document, dict):
        raise BadBody("POST body should be a JSON dictionary.")
    return document


# What a script returns


def is_response(value: Any) -> bool:
    """Whether this is a whole response: an AMLResponse, or one of Flask's, whichever library it is from."""
    return all(hasattr(type(value), name) for name in ("get_data", "status_code"))


def answer(value: Any, as_json: Callable[[Any], bytes], milliseconds: float) -> tuple[bytes, bytes]:
    """Body and head of the reply to whoever speaks Azure's dialect. Raises ScriptFailed."""
    if not is_response(value):
        return as_json(value) if value is not None else b"{}", _ANSWERED % milliseconds
    status, headers, body = _parts(value)
    told = [text for name, text in headers if name.lower() == _RUN_FAILED]
    headers = [pair for pair in headers if pair[0].lower() != _RUN_FAILED]
    headers += [(_RUN_FAILED, "True" if status >= 500 else (told or ["False"])[0])]
    headers += [("x-ms-run-fn-exec-ms", f"{milliseconds:.3f}")]
    try:
        return b"" if heads.is_bodiless(status) else body, heads.written_reply(status, headers)
    except ValueError as e:
        raise ScriptFailed(f"run() returned a response that cannot be sent: {e}") from e


_ANSWERED = b"200\r\ncontent-type: application/json\r\nx-ms-run-function-failed: False\r\nx-ms-run-fn-exec-ms: %.3f\r\n"


def nothing_asked() -> tuple[bytes, bytes]:
    """Body and head of the reply to a method that asks nothing of the script."""
    return b"", heads.written_reply(200, [("content-type", "text/html; charset=utf-8"), (_RUN_FAILED, "False")])


def in_json(value: Any) -> bytes:
    """A whole response's body as JSON, for dialects that promise that. Raises Invalid where it refuses the request."""
    status, headers, body = _parts(value)
    text = body.decode(errors="replace")
    if status >= 500:
        raise ScriptFailed(f"run() returned a response of status {status}: {text}")
    if status >= 400:
        raise Invalid(text or f"the script refuses the request with status {status}")
    if any(name.lower() == "content-type" and "json" in content for name, content in headers):
        try:
            return orjson.dumps(orjson.loads(body))
        except orjson.JSONDecodeError as e:
            raise NotJson("run() returned a response that says it is JSON and is not") from e
    return orjson.dumps(text)


def _parts(value: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of a response. Raises ScriptFailed, whatever the response raises."""
    try:
        return int(value.status_code), [(str(k), str(v)) for k, v in value.headers], bytes(value.get_data())
    except Exception as e:
        raise ScriptFailed(f"run() returned a response that cannot be read: {e}") from e
