"""run() takes text. What it returns is chosen by the text: a key of VALUES, or the text itself."""

import json
import math
import time

VALUES = {
    "none": None,
    "text": "a word",
    "umlauts": "zwölf €",
    "whole": 12,
    "number": 0.1 + 0.2,
    "small": 5e-324,
    "large": 1.7976931348623157e308,
    "pi": math.pi,
    "true": True,
    "list": [1, [2.5, None], "x"],
    "empty list": [],
    "object": {"b": 1, "a": {"c": []}},
    "written": json.dumps({"a": 1}),
    "tuple": (1, 2),
}
ERRORS = {"value error": ValueError("no such district"), "key error": KeyError("district")}


def init():
    pass


def run(raw_data):
    if raw_data == "sleep":
        time.sleep(5)  # longer than both servers are told to wait
    if raw_data in ERRORS:
        raise ERRORS[raw_data]
    if raw_data in VALUES:
        return VALUES[raw_data]
    return {"got": raw_data if len(raw_data) < 1000 else len(raw_data)}
