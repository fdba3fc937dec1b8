"""Azure's YAML: what is taken, what is passed over with a warning, and what is refused with its place and its cure."""

from __future__ import annotations

import pytest

from server.endpoints.azure_yaml import IGNORED, read
from server.endpoints.definition import BadDefinition, Deployment, Endpoint, ModelRef

ENDPOINT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: whats-in-a-name
auth_mode: key
"""
DEPLOYMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: whats-in-a-name
model: azureml:mpg:3
"""


def refusal(text: str) -> BadDefinition:
    with pytest.raises(BadDefinition) as raised:
        read(text.encode(), "e.yml")
    return raised.value


def test_the_shortest_endpoint_and_deployment_of_azures_pages_are_taken() -> None:
    assert read(ENDPOINT.encode(), "e.yml").definition == Endpoint("whats-in-a-name")
    taken = read(DEPLOYMENT.encode(), "blue.yml")
    assert taken.definition == Deployment("blue", "whats-in-a-name", ModelRef("mpg", "3"))
    assert taken.warnings == ()


def test_all_that_an_endpoint_can_say_is_kept() -> None:
    said = ENDPOINT + (
        "description: Miles per gallon\ntags: {team: cars, year: 2026}\ntraffic: {blue: 90, green: 10}\n"
        "key_header: X-Customer\n"
    )
    assert read(said.encode(), "e.yml").definition == Endpoint(
        "whats-in-a-name",
        traffic={"blue": 90, "green": 10},
        key_header="x-customer",
        description="Miles per gallon",
        tags={"team": "cars", "year": "2026"},
    )


def test_a_time_limit_is_obeyed_and_what_changes_nothing_is_told() -> None:
    said = DEPLOYMENT + (
        "instance_type: Standard_DS2_v2\ninstance_count: 1\nrequest_settings:\n  request_timeout_ms: 3000\n"
        "  max_concurrent_requests_per_instance: 4\n"
    )
    taken = read(said.encode(), "blue.yml")
    assert isinstance(taken.definition, Deployment)
    assert taken.definition.timeout_s == 3.0
    for warning, (line, key) in zip(
        taken.warnings, [(5, "instance_type"), (6, "instance_count"), (9, "max_concurrent")], strict=True
    ):
        assert warning.startswith(f"blue.yml, line {line}: '")
        assert key in warning
        assert "changes nothing" in warning


def test_an_environment_that_has_a_name_or_an_image_changes_nothing() -> None:
    for said in ("azureml:AzureML-sklearn-1.5@latest", "{image: x}", "azureml:mine:3"):
        [warning] = read(f"{DEPLOYMENT}environment: {said}\n".encode(), "blue.yml").warnings
        assert warning.startswith("blue.yml, line 5: 'environment' changes nothing: ")


def test_every_key_that_changes_nothing_is_taken() -> None:
    for key, why in IGNORED.items():
        if key != "$schema":
            assert len(read(f"{DEPLOYMENT}{key}: x\n".encode(), "blue.yml").warnings) == bool(why)


@pytest.mark.parametrize(
    ("more", "code", "line", "told"),
    [
        ("environment:\n  build: {path: .}\n", "unsupported_field", 6, "images are not built"),
        ("environment: {conda_file: c.yml}\n", "unsupported_field", 5, "requirements.txt"),
        ("code_configuration: {code: ., scoring_script: score.py}\n", "unsupported_field", 5, "python_models"),
        ("environment_variables: {A: b}\n", "unsupported_field", 5, "its folder"),
        ("inference_config: {}\n", "unsupported_field", 5, "own scoring code"),
        ("data_collector: {a: b}\n", "bad_definition", 5, "has the keys collections"),
        ("mirror_traffic: {red: 20}\n", "unsupported_field", 5, "a key of the endpoint"),
        ("colour: red\n", "unsupported_field", 5, "known are name, endpoint_name"),
        ("request_settings: {retries: 3}\n", "unsupported_field", 5, "request_timeout_ms"),
        ("request_settings: {request_timeout_ms: 1s}\n", "bad_definition", 5, "milliseconds"),
        ("request_settings: 30\n", "bad_definition", 5, "keys of its own"),
        ("description: [1]\n", "bad_definition", 5, "a text"),
    ],
)
def test_what_is_refused_is_told_with_line_and_cure(more: str, code: str, line: int, told: str) -> None:
    found = refusal(DEPLOYMENT + more)
    assert found.code == code
    assert found.text.startswith(f"e.yml, line {line}: '")
    assert told in found.text


@pytest.mark.parametrize(
    ("model", "code", "told"),
    [
        ("{path: ../model}", "unsupported_field", "azureml:NAME:VERSION"),
        ("azureml://registries/azureml/models/m/versions/1", "unsupported_field", "azureml:NAME:VERSION"),
        ("mpg", "bad_definition", "its version"),
    ],
)
def test_models_that_cannot_be_had_are_refused(model: str, code: str, told: str) -> None:
    found = refusal(DEPLOYMENT.replace("azureml:mpg:3", model))
    assert (found.code, told in found.text) == (code, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it has no keys"),
        ("- a\n", "it has no keys"),
        ("name: [\n", "not YAML"),
        ("name: a\nname: b\n", "line 2: 'name' is there twice"),
        ("name: &a x\ntags: {b: *a}\n", "alias"),
        ("name: {{endpoint}}\n", "not YAML"),
        ("name: <<: 3\n", "not YAML"),
        ("name: 2024-13-45\n", "not YAML"),
        ("a: " + "[" * 40 + "]" * 40, "deep"),
        ("description: x\n", "'name' is not there"),
        ("name: <endpoint-name>\n", "1 to 32 letters"),
        ("name: a\nauth_mode: none\n", "key, aml_token, aad_token"),
        ("name: a\ntraffic: {blue: 99}\n", "add up to 99"),
        ("name: a\ntraffic: 100\n", "keys of its own"),
        ("name: a\n" + "#" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name(text: str, told: str) -> None:
    found = refusal(text)
    assert found.text.startswith("e.yml")
    assert told in found.text


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(BadDefinition, match=r"e\.yml: this is not YAML"):
        read(b"\xff\xfe\x00", "e.yml")
