"""Sidecars: what they may say, and that whatever else is in one is refused with a reason, never worse."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.catalog.files import PYTHON_FILES, R_FILES
from server.catalog.sidecar import KEYS, MAX_BYTES, MAX_DEPTH, Sidecar, SidecarError, parse, read

EVERYTHING = b"""
description: Petrol consumption
packages: [randomForest]
arguments: {type: response, n.trees: 100}
schema:
  inputs:
    - {name: region, type: factor, levels: [north, south], na: false}
    - {name: when, type: datetime, tz: Europe/Vienna, missing: na}
    - {name: size, type: ordered, levels: [s, m], new_level: na}
    - {name: day, type: date}
  extra: refuse
  outputs:
    - {name: prob, type: columns, columns: [a, b]}
golden:
  - row: {region: north}
    response: 21.5
max_rows: 64
workers: 3
timeout_s: 2.5
"""


def refused(text: str | bytes) -> str:
    with pytest.raises(SidecarError) as error:
        parse(text if isinstance(text, bytes) else text.encode())
    return str(error.value)


def test_a_sidecar_can_say_everything() -> None:
    sidecar = parse(EVERYTHING)
    assert sidecar.description == "Petrol consumption"
    assert sidecar.packages == ["randomForest"]
    assert sidecar.arguments == {"type": "response", "n.trees": 100}
    [stated, when, size, day] = sidecar.inputs_and_outputs.inputs
    assert (stated.name, stated.type, stated.levels, stated.na) == ("region", "factor", ["north", "south"], False)
    assert (when.type, when.tz, when.missing, when.new_level) == ("datetime", "Europe/Vienna", "na", None)
    assert (size.type, size.new_level, day.type) == ("ordered", "na", "date")
    assert sidecar.inputs_and_outputs.extra == "refuse"
    assert sidecar.inputs_and_outputs.outputs[0].columns == ["a", "b"]
    assert sidecar.golden == [{"row": {"region": "north"}, "response": 21.5}]
    assert (sidecar.max_rows, sidecar.workers, sidecar.timeout_s) == (64, 3, 2.5)


def test_every_key_has_a_description() -> None:
    assert [name for name, field in Sidecar.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("text", [b"", b"\n# nothing but a comment\n", b"---\n", b"{}"])
def test_a_sidecar_that_says_nothing_changes_nothing(text: bytes) -> None:
    assert parse(text) == Sidecar()


def test_an_absent_sidecar_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "mpg.yaml", "r") == Sidecar()


def test_a_sidecar_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "mpg.yaml").write_bytes(EVERYTHING)
    assert read(tmp_path / "mpg.yaml", "r") == parse(EVERYTHING)


VALUES = {
    "description": "x",
    "packages": "[stats]",
    "arguments": "{n: 1}",
    "schema": "{extra: refuse}",
    "golden": "[{row: 1}]",
    "made_with": "{r: 4.4.1}",
    "max_rows": "5",
    "workers": "2",
    "service": "{operation_id: transmission, output: answer}",
    "timeout_s": "2",
    "collect": "{sampling: 0.1, mask: {name: drop}}",
    "trusted": "[a.B]",
    "threads": "2",
    "image": "{resize: 8}",
    "torch": "{top_k: 3}",
}


def test_what_each_runtime_understands_is_in_one_table() -> None:
    assert set(KEYS) == {*R_FILES.values(), *PYTHON_FILES.values()}
    assert set(VALUES) == {field.alias or name for name, field in Sidecar.model_fields.items()}
    assert {key for keys in KEYS.values() for key in keys} == set(VALUES)


@pytest.mark.parametrize("runtime", KEYS)
@pytest.mark.parametrize("key", VALUES)
def test_a_key_that_means_nothing_to_the_runtime_is_refused(tmp_path: Path, runtime: str, key: str) -> None:
    (tmp_path / "m.yaml").write_text(f"{key}: {VALUES[key]}\n")
    if key in KEYS[runtime]:
        assert read(tmp_path / "m.yaml", runtime) == parse((tmp_path / "m.yaml").read_bytes())
    else:
        with pytest.raises(SidecarError, match=f"the sidecar's '{key}' means nothing to a.*; leave it out"):
            read(tmp_path / "m.yaml", runtime)


@pytest.mark.parametrize(
    ("runtime", "text", "reason"),
    [
        ("r", "torch: {}", "the sidecar's 'torch' means nothing to an R model; leave it out"),
        ("script", "schema: {}", "the sidecar's 'schema' means nothing to a script; leave it out"),
        (
            "python",
            "packages: []",
            "the sidecar's 'packages' means nothing to a scikit-learn or ONNX model; leave it out",
        ),
        (
            "torch",
            "workers: 1",
            "the sidecar's 'workers' means nothing to a PyTorch model (there is one worker for each GPU); leave it out",
        ),
    ],
)
def test_a_refused_key_is_told_with_the_reason(tmp_path: Path, runtime: str, text: str, reason: str) -> None:
    (tmp_path / "m.yaml").write_text(text)
    with pytest.raises(SidecarError) as error:
        read(tmp_path / "m.yaml", runtime)
    assert str(error.value) == reason


def test_an_unknown_key_is_named_with_those_known() -> None:
    told = refused("descripton: x")
    assert "unknown key 'descripton'" in told
    assert "description, packages, arguments, schema, golden" in told


def test_an_unknown_key_inside_is_named_with_its_place() -> None:
    assert "unknown key 'torch.topk'; known are activation, labels, top_k" in refused("torch: {topk: 3}")
    assert "unknown key 'image.size'; known are resize, crop" in refused("image: {size: 3}")
    assert "unknown key 'schema.inputs.0.typ'" in refused("schema: {inputs: [{name: x, typ: numeric}]}")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("max_rows: 0", "max_rows"),
        ("max_rows: many", "max_rows"),
        ("workers: 0", "workers"),
        ("workers: 65", "workers"),
        ("workers: 1.5", "workers"),
        ("timeout_s: 0", "timeout_s"),
        ("timeout_s: 3601", "timeout_s"),
        ("timeout_s: .nan", "timeout_s"),
        ("packages: randomForest", "packages"),
        ("golden: {row: 1}", "golden"),
        ("arguments: [1]", "arguments"),
        ("schema: {inputs: [{type: numeric}]}", "schema.inputs.0.name"),
        ("schema: {inputs: [{name: x, type: complex}]}", "schema.inputs.0.type"),
        ("schema: {inputs: [{name: x, levels: [yes, no]}]}", "schema.inputs.0.levels.0"),
        ("schema: {inputs: [{name: x, new_level: ignore}]}", "schema.inputs.0.new_level"),
        ("schema: {inputs: [{name: x, missing: mean}]}", "schema.inputs.0.missing"),
        ("schema: {inputs: [{name: x, tz: 1}]}", "schema.inputs.0.tz"),
        ("schema: {outputs: [{name: x, type: text}]}", "schema.outputs.0.type"),
        ("schema: {extra: warn}", "schema.extra"),
    ],
)
def test_a_bad_value_is_told_by_its_key(text: str, key: str) -> None:
    assert f"the sidecar's '{key}': " in refused(text)


def test_what_is_not_yaml_is_told_by_its_line() -> None:
    assert refused("description: x\nschema: {") == "the sidecar is not YAML (line 2)"


@pytest.mark.parametrize(
    "text",
    [
        b"\xff",
        b"\0",
        b"max_rows: " + b"1" * 5000,
        b"description: 2024-13-45",
        b"max_rows: !!int ''",
        b"max_rows: !!float x",
        b"max_rows: !!bool x",
        b"description: !!timestamp x",
        b"? [a]\n: 1",
        b"!!python/object/apply:os.system [true]",
    ],
)
def test_values_that_yaml_chokes_on_are_refused(text: bytes) -> None:
    assert refused(text).startswith("the sidecar is not YAML")


@pytest.mark.parametrize("text", ["- 1", "text", "1"])
def test_a_document_that_is_not_a_mapping_is_refused(text: str) -> None:
    assert "the sidecar" in refused(text)


@pytest.mark.parametrize(
    "value",
    [
        "{a: {1: 2}}",
        "{a: !!set {x}}",
        "{a: !!binary aGk=}",
        "{a: 99999999999999999999999}",
        r'{a: "\ud800"}',
    ],
)
def test_what_could_not_be_told_to_a_worker_is_refused(value: str) -> None:
    assert "JSON cannot hold" in refused(f"arguments: {value}")


@pytest.mark.parametrize("text", ["{b: *a}", "*a", "[*a, *a]", "{<<: *a}"])
def test_an_alias_is_refused_by_its_line_because_aliases_of_aliases_fill_the_memory(text: str) -> None:
    assert refused(f"made_with: &a {{r: x}}\narguments: {text}").startswith("the sidecar has an alias (*a, line 2)")
    levels = "\n".join(f"  k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 10)}]" for n in range(1, 30))
    assert "alias (*k0, line 3)" in refused(f"arguments:\n  k0: &k0 [lol]\n{levels}")


@pytest.mark.parametrize("depth", [MAX_DEPTH, 3000, 200_000])
def test_what_is_nested_too_deeply_is_refused_at_once(depth: int) -> None:
    """It took six seconds, whatever the depth."""
    assert refused(f"arguments:\n  a: {'[' * depth}{']' * depth}") == "the sidecar is nested more than 64 deep (line 2)"
    parse(f"arguments: {{a: {'[' * (MAX_DEPTH - 3)}{']' * (MAX_DEPTH - 3)}}}".encode())


def test_an_oversized_sidecar_is_refused() -> None:
    assert "1 MiB" in refused(b"#" * (MAX_BYTES + 1))
    assert parse(b"#" * MAX_BYTES) == Sidecar()


def test_a_sidecar_that_is_not_a_file_is_refused_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe.yaml", "folder.yaml"):
        with pytest.raises(SidecarError, match="not a file"):
            read(tmp_path / name, "r")


def test_a_sidecar_that_is_a_link_out_of_the_model_folder_is_refused_and_not_read(tmp_path: Path) -> None:
    """What it says would show through: the first keys in a refusal, the rest in the catalog."""
    (tmp_path / "models" / "churn").mkdir(parents=True)
    (tmp_path / "secret").write_text("password: x")
    link = tmp_path / "models" / "churn" / "model.yaml"
    link.symlink_to("../../secret")
    with pytest.raises(SidecarError, match="leads out of the model folder") as error:
        read(link, "r", tmp_path / "models")
    assert "password" not in str(error.value)
    (tmp_path / "models" / "shared.yaml").write_text("description: shared")
    link.unlink()
    link.symlink_to("../shared.yaml")
    assert read(link, "r", tmp_path / "models").description == "shared"


YAML = st.text(alphabet="abc:-[]{}&*!?|>%@'\"#,0129.~\n \t", max_size=40)


@given(st.one_of(YAML.map(str.encode), st.binary(max_size=40), YAML.map(lambda t: f"arguments: {t}".encode())))
def test_any_text_is_a_sidecar_that_workers_can_be_told_or_refused(text: bytes) -> None:
    try:
        sidecar = parse(text)
    except SidecarError:
        return
    orjson.dumps(sidecar.model_dump())
