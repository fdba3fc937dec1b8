"""A folder of endpoints: it is taken whole, or refused with the file that is wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.endpoints import folder
from server.endpoints.definition import BadDefinition
from tests.server.endpoints.test_azure_yaml import DEPLOYMENT, ENDPOINT


def laid_out(at: Path, **more: str) -> Path:
    files = {"endpoint.yml": ENDPOINT + "traffic: {blue: 100}\n", "blue.yml": DEPLOYMENT} | more
    for name, text in files.items():
        (at / name).parent.mkdir(exist_ok=True)
        (at / name).write_text(text)
    return at


def test_endpoints_and_deployments_are_put_together(tmp_path: Path) -> None:
    green = DEPLOYMENT.replace("blue", "green")
    laid_out(tmp_path, **{"more/green.yaml": green, "notes.txt": "{", ".hidden.yml": "{", ".git/x.yml": "{"})
    found = folder.read(tmp_path)
    (defined,) = found.endpoints.values()
    assert (defined.endpoint.name, sorted(defined.deployments)) == ("whats-in-a-name", ["blue", "green"])
    assert defined.endpoint.traffic == {"blue": 100}


def test_a_config_map_is_read_through_its_links(tmp_path: Path) -> None:
    data = tmp_path / "..2026_11_30"
    data.mkdir()
    laid_out(data)
    (tmp_path / "..data").symlink_to(data.name)
    for name in ("endpoint.yml", "blue.yml"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    assert list(folder.read(tmp_path).endpoints) == ["whats-in-a-name"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"endpoint.yml": ENDPOINT + "traffic: {violet: 100}\n"}, r"endpoint\.yml: 'traffic': .* there is blue"),
        ({"again.yml": ENDPOINT}, r"endpoint\.yml: the endpoint 'whats-in-a-name' is in again\.yml too"),
        ({"again.yml": DEPLOYMENT}, r"blue\.yml: the deployment 'blue' is in again\.yml too|again\.yml: .* blue\.yml"),
        ({"x.yml": DEPLOYMENT.replace("whats-in-a-name", "other")}, r"x\.yml: there is no endpoint 'other'"),
        ({"x.yml": "name: ["}, r"x\.yml, line 1: this is not YAML"),
    ],
)
def test_one_file_that_is_wrong_refuses_the_folder(tmp_path: Path, more: dict[str, str], told: str) -> None:
    with pytest.raises(BadDefinition, match=told):
        folder.read(laid_out(tmp_path, **more))


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(laid_out(tmp_path) / "pipe.yml")
    with pytest.raises(BadDefinition, match=r"pipe\.yml: this is no file"):
        folder.read(tmp_path)


def test_too_many_files_are_no_definition(tmp_path: Path) -> None:
    for n in range(folder.MOST_FILES + 1):
        (tmp_path / f"{n}.yml").touch()
    with pytest.raises(BadDefinition, match="1000 at most"):
        folder.files(tmp_path)


def test_a_stamp_changes_with_every_write(tmp_path: Path) -> None:
    before = folder.stamp(laid_out(tmp_path))
    assert folder.stamp(tmp_path) == before
    other = tmp_path / "other"
    other.write_text(DEPLOYMENT)
    os.utime(other, ns=(before[0][2],) * 2)
    other.replace(tmp_path / "blue.yml")
    assert folder.stamp(tmp_path) != before
