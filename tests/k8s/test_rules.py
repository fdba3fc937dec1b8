"""The rules: one source, for each alert a case that fires and one that stays quiet, and no error left out."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from server.web.problems import STATUS
from tests.k8s import queries

RULES = queries.rules()
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
CASES = yaml.safe_load((queries.MONITORING / "rules_test.yaml").read_text())["tests"]
NOT_OURS = {
    *("model_failed", "not_implemented", "provider_unavailable", "accounts_unavailable"),
    *("recorder_unavailable", "store_unavailable"),
}
"""Codes of 500 and above that are not the service's failures; rules.yaml says why."""
AZURE_MOST_RULES = 20
"""In a group."""


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=queries.MONITORING, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def expected(alert: str, kind: str) -> list[str]:
    """What the cases named `<alert> <kind>: …` expect of ALERTS: of each sample, its labels."""
    cases = [case for case in CASES if case["name"].startswith(f"{alert} {kind}: ")]
    assert cases, f"no case in which {alert} {kind}"
    asked = [one for case in cases for one in case["promql_expr_test"] if "ALERTS" in one["expr"]]
    assert asked
    return [sample["labels"] for one in asked for sample in one["exp_samples"]]


def test_promtool_finds_no_fault() -> None:
    promtool("check", "rules", "rules.yaml")


@pytest.mark.ship
def test_every_case_is_as_expected() -> None:
    promtool("test", "rules", "rules_test.yaml")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_has_a_case_that_fires_and_one_that_is_quiet(name: str) -> None:
    assert expected(name, "fires")
    assert not expected(name, "is quiet")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_tells_what_to_do(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("page", "ticket")
    notes = alert["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"] == f"docs/operations.md#{name.lower()}"
    assert name.lower() in queries.anchors()


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_speaks_of_labels_that_it_has(name: str) -> None:
    told = re.findall(r"\$labels\.(\w+)", ALERTS[name]["annotations"]["description"])
    for labels in expected(name, "fires"):
        assert all(f"{label}=" in labels for label in told), labels


@pytest.mark.parametrize("window", ["5m", "30m", "1h", "6h"])
def test_every_error_of_ours_counts_against_the_objective(window: str) -> None:
    record = f"namespace:tandem_requests_answerable:rate{window}"
    [rule] = [rule for rule in RULES if rule.get("record") == record]
    counted = {code for codes in re.findall(r'code=~?"([^"]+)"', rule["expr"]) for code in codes.split("|")}
    assert counted - {"ok"} == {code for code, status in STATUS.items() if status >= 500} - NOT_OURS
    assert set(re.findall(r"\[(\w+)\]", rule["expr"])) == {window}


def test_what_is_made_from_the_rules_is_committed() -> None:
    for name, text in queries.code("rules").made():
        assert (queries.MONITORING / name).read_text() == text, f"run k8s/monitoring/rules.py: {name}"


def test_the_docs_address_can_be_given() -> None:
    for _, text in queries.code("rules").made("https://docs.example/ops"):
        assert "https://docs.example/ops#tandemerrorsfast" in text
        assert "docs/operations.md#" not in text


def test_azure_gets_every_rule() -> None:
    template = json.loads((queries.MONITORING / "azure-rules.json").read_text())
    groups = [resource["properties"]["rules"] for resource in template["resources"]]
    assert all(len(group) <= AZURE_MOST_RULES for group in groups)
    rules: list[dict[str, Any]] = [rule for group in groups for rule in group]
    assert [rule["expression"] for rule in rules] == [rule["expr"] for rule in RULES]
    # A text that begins so is an expression to Azure.
    assert not [rule for rule in rules for text in rule.get("annotations", {}).values() if text.startswith("[")]
