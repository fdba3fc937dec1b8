"""What a request asks for besides its rows: the output and predict's options, checked against the schema.

They come in the body (JSON) or in the URL's query, `?output=prob&s=0.1`, which every codec can have; what both name is
refused, because one of the two would be ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from server.wire.schema import Option, Options, Schema
from server.workers import whole_numbers
from server.workers.errors import Fault, Invalid


def asked(schema: Schema, output: Any, options: Any, query: bytes) -> tuple[str, Options]:
    """The output and the options in force. Raises Invalid. Absent are None for `output` and `options`."""
    if options is None and not query and not schema.horizon:
        return _output(schema, output), ()
    given = _given(options)
    if query:
        for name, text in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name in given or (name == "output" and output is not None):
                raise Invalid(f'"{name[:100]}" is given twice')
            if name == "output":
                output = text
            else:
                given[name] = _from_text(schema, name, text)
    return _output(schema, output), tuple(sorted(_checked(schema, given).items()))


def _given(options: Any) -> dict[str, Any]:
    if options is None:
        return {}
    if type(options) is not dict:
        raise Invalid('"options" must be an object')
    return dict(options)


def _output(schema: Schema, output: Any) -> str:
    if output is None:
        return schema.default_output
    known = [o.name for o in schema.outputs]
    if output not in known:
        raise Invalid(f"this model has no such output; it has {', '.join(known)}")
    return str(output)


def _checked(schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    options = {o.name: o for o in schema.options}
    faults = [_unknown(name, options) for name in given if name not in options]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in options:
            fault = _unfit(options[name], value)
            if fault is None:
                values[name] = _KINDS[options[name].type](value)
            else:
                faults.append(fault)
    if schema.horizon and "h" not in given:
        values["h"] = options["h"].default  # said aloud, because it is the number of rows
        if values["h"] is None:
            hint = 'say how many steps ahead: "options": {"h": 12}'
            faults.append(Fault(None, "h", _expected(options["h"]), "nothing", hint))
    if faults:
        raise Invalid("the options are not those of the model", faults)
    return values


def _unknown(name: str, options: Mapping[str, Option]) -> Fault:
    known = f"one of {', '.join(options)}" if options else "no options"
    return Fault(None, name[:100], known, "an unknown option", "leave it out")


_KINDS: dict[str, type] = {"numeric": float, "integer": int, "string": str, "logical": bool}
"""What a value becomes: 1 and 1.0 are one number, so that requests which mean the same are batched as the same."""


def _fits_number(option: Option, value: float) -> bool:
    if not math.isfinite(value) or (type(value) is int and not whole_numbers.is_held(value)):
        return False
    if option.type == "integer" and (abs(value) >= 2**31 or value != int(value)):
        return False
    return (option.minimum is None or value >= option.minimum) and (option.maximum is None or value <= option.maximum)


def _unfit(option: Option, value: Any) -> Fault | None:
    if option.type in ("numeric", "integer"):
        fits = type(value) in (int, float) and _fits_number(option, value)
    else:
        fits = type(value) is _KINDS[option.type] and "\0" not in str(value)
    if fits and option.values is not None:
        fits = value in option.values
    if fits:
        return None
    return Fault(None, option.name, _expected(option), f"{str(value)[:40]!r}", "see the model's schema")


def _expected(option: Option) -> str:
    if option.values is not None:
        return "one of " + ", ".join(option.values)
    bounds = [f"at least {option.minimum:g}"] if option.minimum is not None else []
    bounds += [f"at most {option.maximum:g}"] if option.maximum is not None else []
    name = {"numeric": "a number", "integer": "a whole number", "string": "a string", "logical": "true or false"}
    return ", ".join([name[option.type], *bounds])


def _from_text(schema: Schema, name: str, text: str) -> Any:
    """A query's text as the option's type; text that does not fit stays text and is refused as such."""
    option = next((o for o in schema.options if o.name == name), None)
    kind = option.type if option is not None else None
    if kind in ("numeric", "integer") and _NUMBER.fullmatch(text):
        return float(text)
    if kind == "logical":
        return {"true": True, "false": False}.get(text, text)
    return text


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
