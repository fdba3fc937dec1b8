"""Changes of a folder of endpoints: one that would leave it wrong leaves it as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.endpoints import folder
from server.endpoints.definition import BadDefinition
from server.endpoints.edit import Conflict, Folder, weights
from tests.server.endpoints.test_azure_yaml import DEPLOYMENT, ENDPOINT

NAME = "whats-in-a-name"
GREEN = DEPLOYMENT.replace("name: blue", "name: green")


@pytest.fixture
def edited(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "endpoints")
    made.put(ENDPOINT.encode(), "endpoint.yml", exists=False)
    for text in (DEPLOYMENT, GREEN):
        made.put(text.encode(), "deployment.yml", exists=False)
    return made


def traffic(edited: Folder) -> dict[str, int]:
    return dict(folder.read(edited.path).endpoints[NAME].endpoint.traffic)


def written(edited: Folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.files(edited.path)}


def test_what_is_put_lies_in_files_that_say_what_they_are(edited: Folder) -> None:
    found = [str(path.relative_to(edited.path)) for path in folder.files(edited.path)]
    assert found == [f"{NAME}/{file}" for file in ("blue-deployment.yml", "endpoint.yml", "green-deployment.yml")]
    assert (edited.path / NAME / "blue-deployment.yml").read_text() == DEPLOYMENT


def test_traffic_is_changed_and_the_rest_of_the_file_stays(edited: Folder) -> None:
    edited.set_traffic(NAME, {"blue": 90, "green": 10})
    assert traffic(edited) == {"blue": 90, "green": 10}
    edited.set_traffic(NAME, {"green": 100})
    assert traffic(edited) == {"green": 100}
    assert "$schema: https" in (edited.path / NAME / "endpoint.yml").read_text()


def test_a_definition_is_put_where_it_was_found(edited: Folder) -> None:
    (edited.path / NAME / "blue-deployment.yml").rename(edited.path / "mine.yaml")
    edited.put(DEPLOYMENT.replace("mpg:3", "mpg:4").encode(), "blue.yml", exists=True)
    assert "mpg:4" in (edited.path / "mine.yaml").read_text()
    assert not (edited.path / NAME / "blue-deployment.yml").exists()


@pytest.mark.parametrize(
    ("share", "told"), [({"blue": 99}, "add up to 99"), ({"red": 100}, "there is blue, green"), ({"blue": -1}, "0 to")]
)
def test_a_change_that_breaks_a_rule_changes_nothing(edited: Folder, share: dict[str, int], told: str) -> None:
    before = written(edited)
    with pytest.raises(BadDefinition, match=told):
        edited.set_traffic(NAME, share)
    assert written(edited) == before


def test_what_is_there_is_not_created_and_what_is_not_is_not_updated(edited: Folder) -> None:
    with pytest.raises(Conflict, match="there is the deployment 'blue' of 'whats-in-a-name' already; update it"):
        edited.put(DEPLOYMENT.encode(), "blue.yml", exists=False)
    with pytest.raises(Conflict, match="there is not the endpoint 'other'; create it"):
        edited.put(b"name: other\n", "other.yml", exists=True)
    with pytest.raises(Conflict, match="there is no endpoint 'other'"):
        edited.set_traffic("other", {})
    with pytest.raises(BadDefinition, match="there is no endpoint 'other'"):
        edited.put(DEPLOYMENT.replace(NAME, "other").encode(), "blue.yml", exists=False)
    assert not (edited.path / "other").exists()


def test_a_deployment_leaves_only_without_traffic_and_an_endpoint_takes_all_along(edited: Folder) -> None:
    edited.set_traffic(NAME, {"blue": 100, "green": 0})
    with pytest.raises(Conflict, match="'blue' has traffic; give it to another one first"):
        edited.remove_deployment(NAME, "blue")
    edited.remove_deployment(NAME, "green")
    assert list(folder.read(edited.path).endpoints[NAME].deployments) == ["blue"]
    with pytest.raises(Conflict, match="there is no deployment 'green'"):
        edited.remove_deployment(NAME, "green")
    edited.remove_endpoint(NAME)
    assert folder.files(edited.path) == []
    with pytest.raises(Conflict, match="there is no endpoint"):
        edited.remove_endpoint(NAME)


def test_percentages_are_read_as_az_takes_them() -> None:
    assert weights("blue=90 green=10") == weights("blue=90, green=10") == {"blue": 90, "green": 10}
    for bad in ("blue", "blue=x", "blue=9.5", "blue=-1", "blue=1 blue=99", "=1x"):
        with pytest.raises(BadDefinition, match="NAME=PERCENT"):
            weights(bad)
