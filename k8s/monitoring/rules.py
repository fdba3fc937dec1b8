"""Made from rules.yaml: a PrometheusRule, and the rule groups of Azure's managed Prometheus.

Azure takes no rule files: the groups are resources, deployed by `az deployment group create --template-file
k8s/monitoring/azure-rules.json --parameters workspace=… cluster=… actionGroups=…`.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parent
DOCS = "docs/operations.md"
SEVERITIES = {"page": 1, "ticket": 3}
"""Azure's numbers go from 0, critical, to 4, verbose."""

Group = dict[str, Any]


def groups(docs: str) -> list[Group]:
    """The groups of rules.yaml, whose runbooks are looked for where `docs` says."""
    read: list[Group] = yaml.safe_load((FOLDER / "rules.yaml").read_text())["groups"]
    for rule in (rule for group in read for rule in group["rules"] if "alert" in rule):
        notes = rule["annotations"]
        notes["runbook_url"] = notes["runbook_url"].replace(DOCS, docs, 1)
    return read


def prometheus_rule(docs: str) -> str:
    """For the Prometheus operator."""
    made = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "tandem", "namespace": "tandem", "labels": {"app.kubernetes.io/name": "tandem"}},
        "spec": {"groups": groups(docs)},
    }
    return "# Made from rules.yaml by rules.py.\n" + yaml.safe_dump(made, sort_keys=False, width=120)


def azure(docs: str) -> str:
    """An ARM template."""
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "metadata": {"description": "Made from rules.yaml by rules.py."},
        "parameters": {
            "location": {"type": "string", "defaultValue": "[resourceGroup().location]"},
            "workspace": {"type": "string", "metadata": {"description": "resource id of the Azure Monitor workspace"}},
            "cluster": {"type": "string", "metadata": {"description": "name of the AKS cluster"}},
            "actionGroups": {
                "type": "array",
                "defaultValue": [],
                "metadata": {"description": "resource ids of the action groups that are told of alerts"},
            },
        },
        "variables": {
            "copy": [
                {
                    "name": "actions",
                    "count": "[length(parameters('actionGroups'))]",
                    "input": {"actionGroupId": "[parameters('actionGroups')[copyIndex('actions')]]"},
                }
            ]
        },
        "resources": [_azure_group(group) for group in groups(docs)],
    }
    return json.dumps(template, indent=2, ensure_ascii=False) + "\n"


def _azure_group(group: Group) -> dict[str, Any]:
    return {
        "type": "Microsoft.AlertsManagement/prometheusRuleGroups",
        "apiVersion": "2023-03-01",
        "name": f"[concat('{group['name']}-', parameters('cluster'))]",
        "location": "[parameters('location')]",
        "properties": {
            "enabled": True,
            "scopes": ["[parameters('workspace')]"],
            "clusterName": "[parameters('cluster')]",
            "interval": "PT1M",
            "rules": [_azure_rule(rule) for rule in group["rules"]],
        },
    }


def _azure_rule(rule: dict[str, Any]) -> dict[str, Any]:
    if "record" in rule:
        return {"record": rule["record"], "expression": rule["expr"]}
    return {
        "alert": rule["alert"],
        "expression": rule["expr"],
        "for": _iso(rule["for"]),
        "severity": SEVERITIES[rule["labels"]["severity"]],
        "labels": rule["labels"],
        "annotations": rule["annotations"],
        "resolveConfiguration": {"autoResolved": True, "timeToResolve": "PT10M"},
        "actions": "[variables('actions')]",
    }


def _iso(duration: str) -> str:
    """`5m` as Azure writes it, `PT5M`."""
    if not re.fullmatch(r"[0-9]+[smh]", duration):
        raise ValueError(f"not a duration of one unit: {duration}")
    return f"PT{duration.upper()}"


def made(docs: str = DOCS) -> Iterator[tuple[str, str]]:
    """Every file's place, below this folder, and text."""
    yield "oss/prometheus-rule.yaml", prometheus_rule(docs)
    yield "azure-rules.json", azure(docs)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--docs", default=DOCS, help="address of docs/operations.md where those find it who are woken")
    for name, text in made(options.parse_args().docs):
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
