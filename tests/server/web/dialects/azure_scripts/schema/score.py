"""run() takes arguments by name, as its decorators describe them."""

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("num", StandardPythonParameterType(1))
@input_schema("table", NumpyParameterType(np.array([[1.0, 2.0]])), optional=True)
@output_schema(StandardPythonParameterType({"sum": 1.5}))
def run(num, table=None, request_headers=None):
    rows = [] if table is None else np.asarray(table).sum(axis=1).tolist()
    return {"num": num, "rows": rows, "kind": type(table).__name__, "case": request_headers.get("X-Case")}
