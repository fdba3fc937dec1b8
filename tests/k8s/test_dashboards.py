"""The dashboards are what their code makes, each panel can be read, and each query can be parsed."""

from __future__ import annotations

import itertools
import re
from typing import Any

import promql_parser
import pytest

from tests.k8s import queries

BOARDS = queries.dashboards()
PANELS = [
    pytest.param(board, panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in queries.panels(board)
]
CONFIG_MAP_MAX_BYTES = 1 << 20


def test_the_committed_dashboards_are_what_the_code_makes() -> None:
    committed = {path.name: path.read_text() for path in (queries.MONITORING / "dashboards").glob("*.json")}
    assert committed == dict(queries.code("dashboards").made())
    assert committed.keys() == {"service.json", "models.json", "endpoints.json", "workers.json", "gpu.json"}
    assert all(len(text.encode()) < CONFIG_MAP_MAX_BYTES for text in committed.values())


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_panel_can_be_read(board: dict[str, Any], panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert len(panel["description"]) > 10
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["fieldConfig"]["defaults"]["unit"]
    names = [target["legendFormat"] for target in panel["targets"]]
    assert len(set(names)) == len(names) > 0
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"]
        assert all(names)
    for target in panel["targets"]:
        promql_parser.parse(queries.chosen(target["expr"], board))


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_legend_names_labels_that_the_query_keeps(board: dict[str, Any], panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expr = target["expr"]
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            assert re.search(rf"by \([^)]*\b{label}\b[^)]*\)", expr) or expr.startswith(f"{label}:"), expr


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_a_rate_fits_any_scrape_interval(board: dict[str, Any], panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        assert all(window == "$__rate_interval" for window in re.findall(r"rate\([^[]+\[(.+?)\]", target["expr"]))


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    places = [panel["gridPos"] for panel in BOARDS[name]["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, two in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        above = one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
        assert beside or above, (one, two)


def test_what_a_dashboard_points_to_in_the_docs_exists() -> None:
    there = queries.anchors()
    for name, board in BOARDS.items():
        for panel in queries.panels(board):
            for anchor in re.findall(r"docs/operations\.md#([a-z-]+)", panel["description"]):
                assert anchor in there, (name, panel["title"])
