"""`tandem online-endpoint` and `online-deployment`, as somebody who knows `az ml` gives them."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import orjson
import pytest

from server.cli import main
from server.endpoints_written import written
from tests.harness.tandem import free_port
from tests.server.endpoints.test_azure_yaml import DEPLOYMENT, ENDPOINT

NAME = "whats-in-a-name"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TANDEM_ENDPOINTS", "endpoints")
    (tmp_path / "endpoint.yml").write_text(ENDPOINT)
    (tmp_path / "blue.yml").write_text(DEPLOYMENT + "instance_count: 1\n")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    said = capsys.readouterr()
    return code, said.out.strip(), said.err.strip()


def test_the_walk_from_a_file_to_an_address(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = ("-g", "group", "-w", "workspace")
    assert told(capsys, "online-endpoint", "create", "-f", "endpoint.yml", *group) == (0, NAME, "")
    code, out, err = told(capsys, "online-deployment", "create", "-f", "blue.yml", "--all-traffic", *group)
    assert (code, out) == (0, "blue")
    assert err.startswith("warning: blue.yml, line 5: 'instance_count' changes nothing")
    shown = told(capsys, "online-endpoint", "show", "-n", NAME)[1]
    assert orjson.loads(shown)["traffic"] == {"blue": 100}
    address = f"http://127.0.0.1:8000/endpoints/{NAME}/score"
    assert told(capsys, "online-endpoint", "show", "-n", NAME, "--query", "scoring_uri")[1] == f'"{address}"'
    assert told(capsys, "online-endpoint", "list", "-o", "tsv")[1] == f"{NAME}\tkey\t\t{address}"
    assert (
        "model: azureml:mpg:3" in told(capsys, "online-deployment", "show", "-n", "blue", "-e", NAME, "-o", "yaml")[1]
    )
    assert told(capsys, "online-deployment", "delete", "-n", "blue", "-e", NAME, "--yes")[0] == 1
    assert told(capsys, "online-endpoint", "delete", "-n", NAME, "--yes") == (0, "", "")
    assert told(capsys, "online-endpoint", "list")[1] == "[]"


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("online-endpoint show -n none", "there is no endpoint 'none'"),
        ("online-endpoint update -n none", "say what to change"),
        ("online-deployment create -f blue.yml", "there is no endpoint 'whats-in-a-name'"),
        ("online-endpoint create -f none.yml", "No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, refused: str
) -> None:
    code, out, err = told(capsys, *command.split())
    assert (code, out, err.count("\n")) == (1, "", 0)
    assert refused in err


def test_without_a_folder_a_server_is_asked_and_the_setting_is_named_where_there_is_none(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TANDEM_ENDPOINTS")
    monkeypatch.setenv("TANDEM_SERVER", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("TANDEM_TOKEN", "x")
    assert "does not answer" in (said := told(capsys, "online-endpoint", "list")[2]) and "TANDEM_SERVER" in said


@pytest.mark.parametrize(
    ("query", "output", "expected"),
    [
        ("a.b", "tsv", "1"),
        ("rows[].name", "tsv", "x\ny"),
        ("rows[?name == 'y'] | [0]", "json", '{\n  "name": "y",\n  "n": 2\n}'),
        ("rows", "table", "name  n\n----  -\nx     1\ny     2"),
        ("rows[].name", "table", "Result\n------\nx\ny"),
        ("none", "tsv", ""),
        ("none", "json", "null"),
        ("a", "yaml", "b: 1"),
        ("a.b", "yaml", "1"),
        ("a", "none", ""),
    ],
)
def test_what_is_printed_is_chosen_and_formed_as_az_does(query: str, output: str, expected: str) -> None:
    data = {"a": {"b": 1}, "rows": [{"name": "x", "n": 1}, {"name": "y", "n": 2}]}
    assert "\n".join(written(data, Namespace(query=query, output=output))) == expected
