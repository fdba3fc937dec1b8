"""What the supervisor and a template tell each other of a model: unchanged by the way, and nothing else is taken."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.wire.models import Description, ImageSettings, ModelSpec, RuntimeSettings, TorchSettings
from server.wire.record import Misfit, Record
from server.wire.schema import Schema
from tests.server.wire.test_schema import schemas

texts = st.text(max_size=8)
floats = st.floats(allow_nan=False, allow_infinity=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(texts, plain, max_size=3)
some_texts = st.lists(texts, max_size=3).map(tuple)
some_objects = st.lists(objects, max_size=3).map(tuple)
sizes = st.none() | st.integers(1, 512) | st.tuples(st.integers(1, 512), st.integers(1, 512))
contracts = schemas.map(Schema.to_data)

images = st.builds(
    ImageSettings,
    resize=sizes,
    crop=sizes,
    scale=floats,
    mean=st.none() | st.lists(floats, max_size=3).map(tuple),
    std=st.none() | st.lists(floats, max_size=3).map(tuple),
)
programs = st.builds(TorchSettings, labels=st.none() | some_texts, pad=st.none() | floats, tolerance=st.none() | floats)
specs = st.builds(
    ModelSpec,
    model_key=texts,
    name=texts,
    version=texts,
    path=texts,
    packages=some_texts,
    arguments=objects,
    inputs=some_objects,
    outputs=some_objects,
    signature=some_objects,
    golden=some_objects,
    settings=st.builds(
        RuntimeSettings, trusted=some_texts, image=st.none() | images, torch=programs, pyfunc=st.none() | objects
    ),
    schema=st.none() | contracts,
    example=plain,
    load_timeout_s=floats,
    notes=objects,
    harmless=some_texts,
)
descriptions = st.builds(
    Description,
    schema=contracts,
    model_class=texts,
    package=st.none() | texts,
    package_version=st.none() | texts,
    example=plain,
    example_prediction=plain,
    rowwise=st.booleans(),
    batch_reason=texts,
    golden_rows=st.integers(0, 99),
    load_warnings=some_texts,
    notes=objects,
    isolated=st.none() | texts,
    harmless=some_texts,
    loads_in_worker=st.booleans(),
)
GOOD = Description({"inputs": [], "outputs": [], "raw": True}, "score.py", None, None, None, None, False, "", 0)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(specs | descriptions)
def test_a_record_crosses_a_process_border_unchanged(record: Record) -> None:
    assert type(record).from_data(orjson.loads(orjson.dumps(record.to_data()))) == record


def test_a_whole_number_is_a_number_and_a_list_of_numbers_stays_one() -> None:
    found = ImageSettings.from_data({"scale": 1, "mean": [0, 1], "resize": [8, 9], "crop": 7})
    assert (found.scale, found.mean, found.resize, found.crop) == (1.0, (0.0, 1.0), (8, 9), 7)
    assert type(found.scale) is float


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("schema", None, "Description.schema is not"),
        ("schema", {}, "Description.schema is none: a schema needs inputs and outputs"),
        ("schema", {"inputs": [{"name": "x", "type": "complex"}], "outputs": []}, "has type 'complex'"),
        ("model_class", 1, "Description.model_class is not str"),
        ("rowwise", 1, "Description.rowwise is not bool"),
        ("golden_rows", True, "Description.golden_rows is not int"),
        ("golden_rows", 1.5, "Description.golden_rows is not int"),
        ("load_warnings", "text", "Description.load_warnings is not a list"),
        ("load_warnings", [1], "Description.load_warnings is not str"),
        ("notes", [], "Description.notes is not"),
        ("isolated", 3, "Description.isolated is not"),
    ],
)
def test_what_a_probe_says_must_be_a_description(member: str, value: Any, text: str) -> None:
    with pytest.raises(Misfit) as misfit:
        Description.from_data(GOOD.to_data() | {member: value})
    assert str(misfit.value).startswith(text) or text in str(misfit.value)


@pytest.mark.parametrize("data", [None, [], "text", {"schema": {}}])
def test_what_is_no_object_or_lacks_a_member_is_refused(data: Any) -> None:
    with pytest.raises(Misfit):
        Description.from_data(data)


@given(plain)
def test_anything_else_is_a_misfit_and_nothing_worse(data: Any) -> None:
    try:
        Description.from_data(data)
    except Misfit:
        pass
    else:
        raise AssertionError("it has no member that a description needs")


def test_a_newer_peer_may_say_more_and_an_older_one_less() -> None:
    said = GOOD.to_data() | {"new_member": 1}
    del said["harmless"]
    assert Description.from_data(said) == GOOD
