"""ONNX graphs answer what onnxruntime answers; a template that holds one has one thread, and its forks run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from server.wire.models import RuntimeSettings
from server.workers.errors import LoadFailed
from tests.harness.tandem import ROOT
from tests.server.workers.python.conftest import Serve

IRIS, SPECIES = load_iris(return_X_y=True)
NAMES = ("x0", "x1", "x2", "x3")


def saved(model: Any, path: Path, types: Any, **options: Any) -> Path:
    path.write_bytes(to_onnx(model, initial_types=types, options=options or None).SerializeToString())
    return path


def rows_of(x: Any) -> list[dict[str, float]]:
    return [dict(zip(NAMES, row, strict=True)) for row in x.tolist()]


@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("labels", [SPECIES, np.array(["a", "b", "c"])[SPECIES]], ids=["numbers", "texts"])
def test_a_classifier_has_class_and_probabilities(zipmap: bool, labels: Any, serve: Serve, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS, labels)
    path = saved(model, tmp_path / "m.onnx", [("X", FloatTensorType([None, 4]))], zipmap=zipmap)
    served = serve(path)
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    for x in (IRIS[:1], IRIS[48:53]):
        label, probability = session.run(None, {"X": x.astype(np.float32)})
        if zipmap:
            probability = np.array([[*p.values()] for p in probability])
        assert served.ask(rows_of(x)) == label.tolist()
        assert served.values(rows_of(x), "prob") == probability.tolist()
    assert served.outputs()["prob"]["columns"] == ([str(c) for c in model.classes_] if zipmap else ["0", "1", "2"])


def test_a_regressor_has_a_response_in_its_own_precision(serve: Serve, tmp_path: Path) -> None:
    x, y = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(x, y)
    path = saved(model, tmp_path / "m.onnx", [("X", DoubleTensorType([None, x.shape[1]]))])
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    served = serve(path)
    asked = [{f"x{i}": v for i, v in enumerate(row)} for row in x[:3].tolist()]
    assert served.ask(asked) == session.run(None, {"X": x[:3]})[0][:, 0].tolist()


def test_a_graph_with_named_columns_takes_each_by_its_name(serve: Serve, tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"age": [1.0, 2.0, 3.0, 4.0], "city": ["a", "b", "a", "b"], "n": [1, 2, 3, 4]})
    columns = ColumnTransformer(
        [("age", StandardScaler(), ["age"]), ("city", OneHotEncoder(), ["city"])], remainder="passthrough"
    )
    model = make_pipeline(columns, RandomForestClassifier(3, random_state=0)).fit(frame, [0, 1, 1, 0])
    types = [
        ("age", FloatTensorType([None, 1])),
        ("city", StringTensorType([None, 1])),
        ("n", Int64TensorType([None, 1])),
    ]
    served = serve(saved(model, tmp_path / "m.onnx", types), inputs=[{"name": "city", "levels": ["a", "b"]}])
    assert {n: i["type"] for n, i in served.inputs().items()} == {"age": "numeric", "city": "string", "n": "integer"}
    assert served.ask(frame.to_dict("records")) == model.predict(frame).tolist()


def test_the_sidecar_names_the_columns(serve: Serve, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS, SPECIES)
    path = saved(model, tmp_path / "m.onnx", [("X", FloatTensorType([None, 4]))])
    served = serve(path, inputs=[{"name": n, "type": "numeric"} for n in "abcd"])
    assert served.ask([dict(zip("abcd", IRIS[0].tolist(), strict=True))]) == [0]


def test_a_graph_of_any_width_takes_the_columns_that_the_sidecar_names(serve: Serve, tmp_path: Path) -> None:
    graph = doubling(["rows", "columns"])
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(LoadFailed, match=r"takes any number of columns(.|\n)*- \{name: age, type: numeric\}") as failed:
        serve(tmp_path / "m.onnx")
    assert failed.value.code == "no_schema"
    stated = [{"name": "age", "type": "numeric"}, {"name": "income", "type": "numeric"}]
    assert serve(tmp_path / "m.onnx", inputs=stated).values([{"age": 1, "income": 2}]) == [[2, 4]]


def doubling(shape: list[Any]) -> Any:
    """A graph that adds its input to itself, or to a weight of it that is large enough to be kept apart."""
    nodes = [onnx.helper.make_node("Add", ["x", "x" if shape[1] == "columns" else "w"], ["y"])]
    weights = [] if shape[1] == "columns" else [onnx.numpy_helper.from_array(np.ones((1, 400), np.float32), "w")]
    of = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "g", [of("x", 1, shape)], [of("y", 1, shape)], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model


def test_weights_in_another_file_are_read_if_the_folder_is_the_model(serve: Serve, tmp_path: Path) -> None:
    onnx.save_model(doubling(["rows", 400]), str(tmp_path / "m.onnx"), save_as_external_data=True, location="w.data")
    with pytest.raises(LoadFailed, match="write both as one") as failed:
        serve(tmp_path / "m.onnx")
    assert "/" not in str(failed.value)
    served = serve(tmp_path / "m.onnx", settings=RuntimeSettings(whole_folder=True))
    assert served.values([{f"x{i}": i for i in range(400)}]) == [[i + 1 for i in range(400)]]


@pytest.mark.parametrize("part", ["ir", "opset"])
def test_a_graph_for_a_newer_runtime_is_refused_with_what_to_do(part: str, serve: Serve, tmp_path: Path) -> None:
    graph = doubling(["rows", 400])
    if part == "ir":
        graph.ir_version = 99
    else:
        graph.opset_import[0].version = 99
    (tmp_path / "m.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(LoadFailed, match=f"onnxruntime {onnxruntime.__version__}.*lower opset") as failed:
        serve(tmp_path / "m.onnx")
    assert failed.value.code == "unreadable"


def test_a_graph_for_one_row_answers_several(serve: Serve, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS, SPECIES)
    path = saved(model, tmp_path / "m.onnx", [("X", FloatTensorType([1, 4]))], zipmap=False)
    assert serve(path).ask(rows_of(IRIS[::50])) == [0, 1, 2]


def test_a_graph_that_takes_images_is_refused_with_a_way_out(serve: Serve, tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3, 8, 8])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(LoadFailed, match=r"\.pt2") as failed:
        serve(tmp_path / "m.onnx")
    assert failed.value.code == "unsupported_input"


FORKING = """
import os, sys
import numpy as np
from pathlib import Path
from server.wire.frames import Member
from server.workers.python.runtime import PythonRuntime
from server.wire.models import ModelSpec
from server.workers.score import score
import orjson

runtime = PythonRuntime()
runtime.start()
inputs = [{"name": f"x{i}", "type": "numeric"} for i in range(4)]
schema = {"inputs": inputs, "outputs": [{"name": "class", "type": "integer"}]}
model = runtime.load(ModelSpec("k", "m", "v", sys.argv[1], schema=schema))
runtime.before_fork()
assert len(os.listdir("/proc/self/task")) == 1, "the template has threads"
for slot in (1, 2):
    pid = os.fork()
    if not pid:
        runtime.after_fork(slot, Path(sys.argv[2]) / str(slot), slot)
        assert os.environ["JOBLIB_TEMP_FOLDER"] == str(Path(sys.argv[2]) / str(slot))
        assert np.random.random() == np.random.RandomState(slot).random()
        row = dict(x0=5.1, x1=3.5, x2=1.4, x3=0.2)
        [result] = score(model, [Member(orjson.dumps({"rows": [row]}))]).results
        os._exit(0 if orjson.loads(result.body)["predictions"] == [0] else 1)
    assert os.waitpid(pid, 0)[1] == 0
print("served")
"""


def test_a_template_stays_single_threaded_and_its_forks_run_the_graph(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS, SPECIES)
    path = saved(model, tmp_path / "m.onnx", [("X", FloatTensorType([None, 4]))])
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(path), str(tmp_path)],
        env=os.environ | one | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "served\n", done.stderr
