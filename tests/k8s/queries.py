"""What Tandem's dashboards, rules and scalers ask of Prometheus, and how to ask it so that no answer means no data.

An alert that is quiet and a metric that does not exist look the same. So an alert's comparisons are left out, and every
selector is asked for by itself too: `a or b` has an answer when `b` is misspelt.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import promql_parser
import yaml

from tests.harness.tandem import ROOT

MONITORING = ROOT / "k8s" / "monitoring"
COMPARISONS = frozenset(("==", "!=", ">", "<", ">=", "<="))
CHOSEN = {"__rate_interval": "1m"}
"""What Grafana would put in for its own variables; those of the dashboards are "All", at first."""


@dataclass(frozen=True)
class Query:
    """One expression, and where it stands."""

    where: str
    expr: str


def code(name: str) -> ModuleType:
    """The script `name`.py of k8s/monitoring, which is no package."""
    spec = importlib.util.spec_from_file_location(name, MONITORING / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def dashboards() -> dict[str, Any]:
    """The committed dashboards by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((MONITORING / "dashboards").glob("*.json"))}


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A dashboard's panels, those in rows too."""
    for panel in board["panels"]:
        yield from panels(panel) if panel["type"] == "row" else (panel,)


def rules() -> list[dict[str, Any]]:
    """All rules, recording and alerting."""
    groups = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def anchors() -> set[str]:
    """What links into docs/operations.md may point to: its headings, as GitHub and GitLab name them."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def of_panels() -> list[Query]:
    return [
        Query(f"{name}: {panel['title']}", chosen(target["expr"], board))
        for name, board in dashboards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def of_variables() -> list[Query]:
    """`label_values(series, label)`, as the count of each value."""
    return [
        Query(f"{name}: ${variable['name']}", f"count by ({label}) ({series})")
        for name, board in dashboards().items()
        for variable in board["templating"]["list"]
        if variable["type"] == "query"
        for series, label in [_label_values(chosen(variable["query"], board))]
    ]


def of_rules() -> list[Query]:
    return [Query(rule.get("alert", rule.get("record")), rule["expr"]) for rule in rules()]


def of_scalers() -> list[Query]:
    """What KEDA asks; the HPA asks Prometheus nothing."""
    documents = (
        (path, document)
        for path in sorted((ROOT / "k8s").rglob("*.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if isinstance(document, dict) and document.get("kind") == "ScaledObject"
    )
    return [
        Query(f"{path.relative_to(ROOT)}", trigger["metadata"]["query"])
        for path, document in documents
        for trigger in document["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ]


def chosen(expr: str, board: Mapping[str, Any]) -> str:
    """With what "All" and Grafana put in for variables. One that the dashboard lacks stays, and cannot be parsed."""
    values = CHOSEN | {one["name"]: one["allValue"] for one in board["templating"]["list"] if one["type"] == "query"}
    return re.sub(r"\$(\w+)", lambda name: values.get(name[1], name[0]), expr)


def _label_values(query: str) -> tuple[str, str]:
    told = re.fullmatch(r"label_values\((.+), *(\w+)\)", query)
    assert told is not None, query
    return told[1], told[2]


def asked(expr: str) -> list[str]:
    """Expressions that all have data where `expr` means something: its operands without comparisons, its selectors."""
    parsed = promql_parser.parse(expr)
    return list(dict.fromkeys([*_operands(parsed), *(selector.prettify() for selector in _selectors(parsed))]))


def metrics(expr: str) -> set[str]:
    """Names of the metrics that an expression reads."""
    return {selector.name for selector in _selectors(promql_parser.parse(expr))}


def _operands(node: Any) -> Iterator[str]:
    if isinstance(node, promql_parser.ParenExpr):
        yield from _operands(node.expr)
    elif isinstance(node, promql_parser.BinaryExpr) and str(node.op) == "and":
        yield from _operands(node.lhs)
        yield from _operands(node.rhs)
    elif isinstance(node, promql_parser.BinaryExpr) and str(node.op) in COMPARISONS:
        yield from _operands(node.lhs)
    elif isinstance(node, promql_parser.Call) and node.func.name == "absent":
        yield from _operands(node.args[0])
    else:
        yield node.prettify()


def _selectors(node: Any) -> list[Any]:
    found: list[Any] = []

    def visit(one: Any) -> None:
        if isinstance(one, promql_parser.VectorSelector):
            found.append(one)

    promql_parser.walk(node, visit, lambda _: None)
    return found
