"""Model files of PyTorch: what is served answers as PyTorch itself does, what is not is told why."""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import torch
from PIL import Image
from torch import nn

from server.catalog import mlmodel
from server.wire.frames import BodyFormat, Member, ReplyCode
from server.workers.errors import LoadFailed
from server.workers.score import score
from server.workers.torch.runtime import TorchRuntime
from tests.harness.mlflow_folders import save
from tests.server.workers.torch.models import Net, Served, export, seeded, spec_of

Serve = Callable[..., Served]
IMAGE = "image: {resize: [8, 8], color: gray}\n"
CLASSES = IMAGE + "torch: {activation: softmax, labels: [a, b, c], top_k: 2}\n"


def png(seed: int = 1, size: tuple[int, int] = (8, 8)) -> bytes:
    file = BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, np.uint8)).save(file, "PNG")
    return file.getvalue()


def tensor_of(data: bytes) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(BytesIO(data)))).float()[None, None] / 255


def answers(served: Served, *members: Member) -> list[Any]:
    """What was answered, each with code OK."""
    results = score(served[0], members).results
    assert {r.code for r in results} == {ReplyCode.OK}, results
    return [orjson.loads(r.body)["predictions"] for r in results]


def rows(*given: dict[str, Any], **more: Any) -> Member:
    return Member(orjson.dumps({"rows": given, **more}))


def refusal(runtime: TorchRuntime, path: Path, side: str = "") -> tuple[str, str]:
    with pytest.raises(LoadFailed) as failed:
        runtime.describe(spec_of(path, side))
    assert str(path.parent) not in str(failed.value)
    return failed.value.code, str(failed.value)


class Lambda(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


class Sum(nn.Module):
    def forward(self, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (x * weights).sum((1, 2))


# Answers


def test_images_are_classified_as_pytorch_does(served: Serve, net: Path) -> None:
    model = served(net, CLASSES)
    images = [png(seed) for seed in range(5)]
    with torch.inference_mode():
        expected = seeded(Net)(torch.cat([tensor_of(i) for i in images])).softmax(1)
    members = [Member(i, BodyFormat.PNG, BodyFormat.JSON, 0, b"output=prob") for i in images]
    given = [[row[label] for label in "abc"] for [row] in answers(model, *members)]
    torch.testing.assert_close(torch.tensor(given), expected, rtol=0, atol=1e-6)
    tops = [top for [top] in answers(model, *(Member(i, BodyFormat.PNG) for i in images))]
    for top, row in zip(tops, expected, strict=True):
        assert [one["label"] for one in top] == ["abc"[k] for k in row.argsort(descending=True)[:2]]
        assert top[0]["probability"] >= top[1]["probability"]
    classes = answers(model, *(Member(i, BodyFormat.PNG, BodyFormat.JSON, 0, b"output=class") for i in images))
    assert [c for [c] in classes] == [top[0]["label"] for top in tops]


def test_an_image_is_the_same_as_a_body_in_json_and_in_arrow(served: Serve, net: Path) -> None:
    model = served(net, CLASSES)
    data = png()
    table = pa.table({"image": pa.array([data, data], pa.binary())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    text = base64.b64encode(data).decode()
    csv = Member(f"image\n{text}\n".encode(), BodyFormat.CSV, BodyFormat.JSON)
    arrow = Member(sink.getvalue().to_pybytes(), BodyFormat.ARROW, BodyFormat.JSON)
    body, listed, both, written = answers(model, Member(data, BodyFormat.PNG), rows({"image": text}), arrow, csv)
    assert body == listed == written
    assert both == body * 2
    [result] = score(model[0], [Member(data, BodyFormat.PNG, BodyFormat.ARROW)]).results
    assert pa.ipc.open_stream(result.body).read_all()["prediction"].to_pylist() == body


def test_a_program_says_itself_what_tensors_it_takes(served: Serve, net: Path) -> None:
    model = served(net)
    [spec] = model[0].schema.inputs
    assert (spec.name, spec.type, spec.shape, spec.na) == ("x", "tensor", (1, 8, 8), False)
    x = torch.rand(3, 1, 8, 8)
    with torch.inference_mode():
        expected = seeded(Net)(x)
    [given] = answers(model, rows(*({"x": row} for row in x.tolist())))
    torch.testing.assert_close(torch.tensor([list(row.values()) for row in given]), expected, rtol=0, atol=1e-6)


def test_columns_of_numbers_become_one_tensor_in_the_stated_order(served: Serve, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Lambda(lambda x: x[:, 0] * 10 + x[:, 1]), torch.zeros(2, 2))
    model = served(path, "schema: {inputs: [{name: b, type: numeric}, {name: a, type: integer}]}")
    assert answers(model, rows({"a": 1, "b": 2.5}, {"a": 3, "b": 4})) == [[26.0, 43.0]]


def test_several_tensors_are_arguments_in_their_order(served: Serve, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Sum(), torch.zeros(2, 2, 2), torch.zeros(2, 2, 2))
    one = {"x": [[1, 2], [3, 4]], "weights": [[1, 0], [0, 1]]}
    assert answers(served(path), rows(one, one)) == [[5.0, 5.0]]


def test_a_dimension_may_be_of_any_size_and_rows_of_different_shapes_go_apart(served: Serve, tmp_path: Path) -> None:
    any_size = ({0: torch.export.Dim("rows"), 1: torch.export.Dim("words")},)
    path = export(tmp_path / "m.pt2", Lambda(lambda x: x.mean(1)), torch.zeros(2, 5), dynamic=any_size)
    given = ({"x": [2]}, {"x": [1, 2, 3]}, {"x": [4]}, {"x": [0, 1, 2]})
    assert answers(served(path), rows(*given)) == [[2.0, 2.0, 4.0, 1.0]]
    padded = served(path, "torch: {pad: 3}")
    assert answers(padded, rows(*given)) == [[pytest.approx(8 / 3), 2.0, pytest.approx(10 / 3), 1.0]]


def test_whole_numbers_are_passed_as_such(served: Serve, tmp_path: Path) -> None:
    torch.manual_seed(1)
    table = nn.EmbeddingBag(5, 1)
    path = export(tmp_path / "m.pt2", table.eval(), torch.zeros(2, 3, dtype=torch.int64))
    model = served(path)
    with torch.inference_mode():
        expected = table(torch.tensor([[0, 4, 2]]))
    assert answers(model, rows({"input": [0, 4, 2]})) == [expected[:, 0].tolist()]
    [result] = score(model[0], [rows({"input": [0, 1.5, 2]})]).results
    [fault] = orjson.loads(result.body)["errors"]
    assert (result.code, fault["row"], fault["column"], fault["expected"]) == (2, 0, "input", "whole numbers")


def test_rows_with_many_numbers_are_nested_arrays(served: Serve, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Lambda(lambda x: x.reshape(-1, 2, 2) / 0), torch.zeros(2, 4))
    model = served(path)
    assert model[0].schema.outputs[0].type == "tensor"
    assert answers(model, rows({"x": [1, 0, -1, 2]})) == [[[["Inf", "NaN"], ["-Inf", "Inf"]]]]


def test_columns_get_the_names_that_the_sidecar_states(served: Serve, net: Path) -> None:
    side = IMAGE + "schema: {outputs: [{name: response, type: columns, columns: [u, v, w]}]}"
    [[row]] = answers(served(net, side), Member(png(), BodyFormat.PNG))
    assert list(row) == ["u", "v", "w"]


def test_one_number_and_two_labels_are_a_probability_and_its_counterpart(served: Serve, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Lambda(lambda x: x[:, :1]), torch.zeros(2, 2))
    model = served(path, "torch: {activation: sigmoid, labels: ['no', 'yes']}")
    [[row]] = answers(model, rows({"x": [0.3, 0]}, output="prob"))
    assert row == {"no": pytest.approx(1 - row["yes"]), "yes": torch.tensor(0.3).sigmoid().item()}


def test_torchscript_is_served(served: Serve, tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.script(seeded(Net)).save(str(path))
    model = served(path, CLASSES)
    assert model[1].model_class == "ScriptModule Net"
    with torch.inference_mode():
        expected = seeded(Net)(tensor_of(png())).softmax(1)[0]
    [[top]] = answers(model, Member(png(), BodyFormat.PNG))
    assert top[0]["probability"] == pytest.approx(float(expected.max()), abs=1e-6)


# Batching


def test_requests_together_get_the_bits_that_they_get_alone(served: Serve, net: Path) -> None:
    model = served(net, CLASSES)
    assert model[1].rowwise, model[1].batch_reason
    members = [Member(png(seed), BodyFormat.PNG, BodyFormat.JSON, 0, b"output=prob") for seed in range(37)]
    assert answers(model, *members) == [answers(model, member)[0] for member in members]


def test_a_program_for_one_row_is_called_row_by_row(served: Serve, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Lambda(lambda x: x.sum(1)), torch.zeros(1, 2), dynamic=None)
    model = served(path)
    assert (model[1].rowwise, model[1].batch_reason) == (False, "the program takes one row a call")
    assert answers(model, rows({"x": [1, 2]}, {"x": [3, 4]})) == [[3.0, 7.0]]


def test_a_program_for_eight_rows_is_called_with_eight(served: Serve, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Lambda(lambda x: x.sum(1)), torch.zeros(8, 2), dynamic=None)
    model = served(path)
    assert answers(model, rows(*({"x": [k, k]} for k in range(11)))) == [[2.0 * k for k in range(11)]]


def test_a_model_whose_rows_know_of_each_other_is_not_batched(served: Serve, tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Lambda(lambda x: (x - x.mean(0)).sum(1)), torch.zeros(2, 2))
    _, description = served(path, "torch: {tolerance: 1.0e-3}")
    assert not description.rowwise
    assert "more than the stated tolerance of 0.001" in description.batch_reason


# Requests that do not fit

FLAT = [[0.0] * 8] * 8
SHAPE = "numbers of the shape 1 x 8 x 8"
BAD_ROWS = {
    "too shallow": ([FLAT], "x", SHAPE, "8 values in dimension 1"),
    "ragged": ([[[[0.0] * 8] * 7 + [[0.0]]]], "x", SHAPE, "1 to 8 values in dimension 3"),
    "a string inside": (
        [[[[0.0] * 8] * 7 + [[0.0] * 7 + ["a"]]]],
        "x",
        SHAPE,
        'the string "a"',
    ),
    "a null inside": ([[[[0.0] * 8] * 7 + [[0.0] * 7 + [None]]]], "x", SHAPE, "null"),
    "a number": ([3], "x", SHAPE, "the number 3"),
    "null": ([None], "x", "a value of type tensor", "null"),
}


@pytest.mark.parametrize(("given", "column", "expected", "got"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_wrong_shape_or_type_is_told(
    served: Serve, net: Path, given: list[Any], column: str, expected: str, got: str
) -> None:
    [result] = score(served(net)[0], [rows(*({"x": one} for one in given))]).results
    assert result.code == ReplyCode.INVALID
    [fault] = orjson.loads(result.body)["errors"]
    assert (fault["row"], fault["column"], fault["expected"], fault["got"]) == (0, column, expected, got)


def test_a_bad_image_costs_its_neighbours_nothing(served: Serve, net: Path) -> None:
    model = served(net, CLASSES)
    alone = answers(model, Member(png(), BodyFormat.PNG))[0]
    results = score(model[0], [Member(png(), BodyFormat.PNG), Member(b"GIF89a", BodyFormat.PNG)]).results
    assert orjson.loads(results[0].body)["predictions"] == alone
    [fault] = orjson.loads(results[1].body)["errors"]
    assert (results[1].code, fault["row"], fault["column"], fault["got"]) == (2, 0, "image", "a GIF file")


def test_of_many_images_the_bad_one_is_named_by_its_row(served: Serve, net: Path) -> None:
    text = base64.b64encode(png()).decode()
    member = rows({"image": text}, {"image": "not base64!"}, {"image": text})
    [result] = score(served(net, CLASSES)[0], [member]).results
    [fault] = orjson.loads(result.body)["errors"]
    assert (result.code, fault["row"], fault["expected"]) == (2, 1, "a JPEG or PNG file in base64")


def test_an_image_of_another_size_is_refused_where_the_program_takes_one_size(served: Serve, net: Path) -> None:
    [result] = score(served(net, "image: {color: gray}")[0], [Member(png(1, (9, 8)), BodyFormat.PNG)]).results
    [fault] = orjson.loads(result.body)["errors"]
    assert (fault["expected"], fault["got"]) == ("an image of 8 x 8 pixels", "8 x 9 pixels")


def test_images_of_different_sizes_are_computed_apart(served: Serve, tmp_path: Path) -> None:
    sizes = ({0: torch.export.Dim("rows"), 2: torch.export.Dim("height"), 3: torch.export.Dim("width")},)
    mean = Lambda(lambda x: x.mean((1, 2, 3)))
    path = export(tmp_path / "m.pt2", mean, torch.zeros(2, 1, 8, 9), dynamic=sizes)
    images = [png(1, (4, 5)), png(2, (6, 7)), png(3, (4, 5))]
    member = rows(*({"image": base64.b64encode(i).decode()} for i in images))
    [given] = answers(served(path, "image: {color: gray}"), member)
    assert given == pytest.approx([float(tensor_of(i).mean()) for i in images])


# Files that cannot be served


def test_a_truncated_or_strange_file_is_told(runtime: TorchRuntime, net: Path, tmp_path: Path) -> None:
    whole = net.read_bytes()
    for data in (b"", b"hello", whole[: len(whole) // 2], whole[:-40]):
        path = tmp_path / "m.pt2"
        path.write_bytes(data)
        code, reason = refusal(runtime, path)
        assert code == "unreadable" and "not a whole .pt2 file" in reason
    (tmp_path / "m.pt").write_bytes(whole[: len(whole) // 2])
    assert refusal(runtime, tmp_path / "m.pt", IMAGE)[0] == "unreadable"


def test_what_mlflow_saves_of_pytorch_is_served_with_its_signatures_inputs(
    served: Serve, net: Path, tmp_path: Path
) -> None:
    def inputs_of(name: str, inputs: list[dict[str, Any]]) -> Any:
        about = mlmodel.at(save(tmp_path / name, "pytorch", {"model_data": "data"}, inputs))
        assert about is not None and about.refused is None
        return served(tmp_path / name / about.file, signature=about.inputs)[1].schema["inputs"]

    (tmp_path / "script" / "data").mkdir(parents=True)
    with pytest.warns(DeprecationWarning):
        torch.jit.script(seeded(Net)).save(str(tmp_path / "script" / "data" / "model.pth"))
    shape = [-1, 1, 8, 8]
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": shape}}
    [one] = inputs_of("script", [tensor])
    assert one == {"name": "x0", "type": "tensor", "na": False, "shape": [1, 8, 8]}
    (tmp_path / "program" / "data").mkdir(parents=True)
    (tmp_path / "program" / "data" / "model.pt2").write_bytes(net.read_bytes())
    for name, expected in ((None, "x"), ("picture", "picture")):
        [one] = inputs_of("program", [tensor | {"name": name}])
        assert (one["name"], one["shape"]) == (expected, [1, 8, 8])


def test_columns_of_mlflows_signature_become_one_tensor(served: Serve, tmp_path: Path) -> None:
    (tmp_path / "m" / "data").mkdir(parents=True)
    export(tmp_path / "m" / "data" / "model.pt2", nn.Linear(2, 1), torch.zeros(2, 2))
    about = mlmodel.at(save(tmp_path / "m", "pytorch", {"model_data": "data"}, {"a": "float", "b": "double"}))
    assert about is not None
    model = served(tmp_path / "m" / about.file, signature=about.inputs)
    assert [i["name"] for i in model[1].schema["inputs"]] == ["a", "b"]
    assert len(answers(model, rows({"a": 1, "b": 2}))) == 1


def test_a_module_that_was_pickled_is_refused_with_how_to_export_it(runtime: TorchRuntime, tmp_path: Path) -> None:
    torch.save(seeded(Net), tmp_path / "model.pth")
    code, reason = refusal(runtime, tmp_path / "model.pth", IMAGE)
    assert code == "unreadable"
    assert "torch.export.save" in reason and "serialization_format='pt2'" in reason


def test_a_file_under_another_name_is_told(runtime: TorchRuntime, net: Path, tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(net.read_bytes())
    assert refusal(runtime, tmp_path / "m.pt", IMAGE) == (
        "unreadable",
        "this is a file of torch.export; its name must end in .pt2",
    )
    torch.save({"weight": torch.zeros(2)}, tmp_path / "w.pt")
    assert "holds weights without the program" in refusal(runtime, tmp_path / "w.pt", IMAGE)[1]
    with pytest.warns(DeprecationWarning):
        torch.jit.script(seeded(Net)).save(str(tmp_path / "s.pt2"))
    assert refusal(runtime, tmp_path / "s.pt2")[1] == "this is a TorchScript file; its name must end in .pt"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_model_for_cuda_is_refused_where_there_is_none(runtime: TorchRuntime, net: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    with zipfile.ZipFile(net) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith(".json"):
                data = data.replace(b'"type": "cpu"', b'"type": "cuda"').replace(b'"index": null', b'"index": 0')
            target.writestr(info.filename, data)
    code, reason = refusal(runtime, path)
    assert code == "needs_cuda" and "exported on the CPU" in reason
    with pytest.warns(DeprecationWarning):
        torch.jit.script(OnCuda()).save(str(tmp_path / "m.pt"))
    side = "schema: {inputs: [{name: x, type: tensor, shape: [3]}]}"
    assert refusal(runtime, tmp_path / "m.pt", side)[0] == "needs_cuda"
    assert (
        refusal(runtime, net, "torch: {cuda_graphs: true, tolerance: 1}\ngolden: [{row: {}, response: 1}]")[0]
        == "needs_cuda"
    )


class OnCuda(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones(3, device=torch.device("cuda:0"))


def test_torchscript_without_a_schema_is_told_the_cure(runtime: TorchRuntime, tmp_path: Path) -> None:
    with pytest.warns(DeprecationWarning):
        torch.jit.script(seeded(Net)).save(str(tmp_path / "m.pt"))
    code, reason = refusal(runtime, tmp_path / "m.pt")
    assert code == "no_schema" and "type: tensor, shape:" in reason


BAD_SIDECARS = {
    "columns for images": (
        "schema: {inputs: [{name: a, type: numeric}]}",
        "bad_schema",
        "a row of the model's tensor is 1 x 8 x 8",
    ),
    "colour for gray": ("image: {resize: [8, 8]}", "bad_schema", "the sidecar's image is 3 x 8 x 8"),
    "another size": ("image: {crop: 9, color: gray}", "bad_schema", "the model takes 1 x 8 x 8"),
    "another shape": ("schema: {inputs: [{name: x, type: tensor, shape: [8, 8]}]}", "bad_schema", "'x' is 8 x 8"),
    "two tensors": ("schema: {inputs: [{name: x}, {name: y}]}", "bad_schema", "2 tensors, the model takes 1"),
    "strings": ("schema: {inputs: [{name: x, type: string}]}", "bad_schema", "takes tensors only or"),
    "image and columns": (IMAGE + "schema: {inputs: [{name: x, type: numeric}]}", "bad_schema", "no other input"),
    "too few labels": ("torch: {labels: [a, b]}", "bad_schema", "2 labels, the model gives 3 numbers a row"),
    "a label twice": ("torch: {labels: [a, b, a]}", "bad_sidecar", "'a' twice"),
    "mean of three": (IMAGE.replace("gray", "gray, mean: [0, 0, 0]"), "bad_sidecar", "image.mean needs 1 numbers"),
    "std of zero": (IMAGE.replace("gray", "gray, std: [0]"), "bad_sidecar", "image.std has a zero"),
    "too few columns": ("schema: {outputs: [{name: response, columns: [a]}]}", "bad_schema", "names 1 columns"),
    "golden row that does not fit": ("golden: [{row: {x: 1}, response: {'0': 1}}]", "bad_golden", "does not fit"),
}


@pytest.mark.parametrize(("side", "code", "told"), BAD_SIDECARS.values(), ids=BAD_SIDECARS)
def test_a_sidecar_that_contradicts_the_model_is_told(
    runtime: TorchRuntime, net: Path, side: str, code: str, told: str
) -> None:
    given = refusal(runtime, net, side)
    assert given[0] == code and told in given[1], given


def test_a_program_that_fails_or_returns_strange_things_is_told(runtime: TorchRuntime, tmp_path: Path) -> None:
    pair = export(tmp_path / "pair.pt2", Lambda(lambda x: (x, x + 1)), torch.zeros(2, 2))
    assert refusal(runtime, pair)[0] == "predict_fails"
    total = export(tmp_path / "sum.pt2", Lambda(lambda x: x.sum(0, keepdim=True)), torch.zeros(2, 2))
    code, reason = refusal(runtime, total)
    assert code == "predict_fails" and "the model gave 1 rows for 2" in reason
