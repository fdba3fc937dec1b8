"""Tables as pandas splits them: the names of the columns once, and rows of values."""

from __future__ import annotations

from typing import Any

from server.wire.schema import Schema
from server.workers.codecs.instances import Cells, cells_by_position
from server.workers.errors import Fault, Invalid
from server.workers.table import ignored, missing


def cells_of_split(table: Any, schema: Schema, member: str) -> Cells:
    """Columns of cells from the table in a body's `member`. Raises Invalid."""
    if type(table) is not dict or type(rows := table.get("data")) is not list:
        raise Invalid(f'"{member}" must be an object with "data", an array of rows')
    if "columns" not in table:
        return cells_by_position(rows, schema), ()
    names = table["columns"]
    if type(names) is not list or not all(type(name) is str for name in names):
        raise Invalid('"columns" must be an array of names')
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)[:100]
        raise Invalid("a column is there twice", [Fault(None, name, "one column", "two", "name every column once")])
    wrong = next((at for at, row in enumerate(rows) if type(row) is not list or len(row) != len(names)), None)
    if wrong is not None:
        fault = Fault(wrong, None, f"an array of {len(names)} values", "another row", "give a value for each column")
        raise Invalid("some rows do not fit the columns", [fault])
    faults = missing(names, schema, None)
    if faults:
        raise Invalid("the columns are not those of the model", faults)
    places = {name: at for at, name in enumerate(names)}
    nothing = [None] * len(rows)
    cells = [[row[places[n]] for row in rows] if n in places else nothing for n in schema.input_names]
    return cells, ignored(names, schema)
