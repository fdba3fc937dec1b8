"""Checks of how many pods there are: autoscalers, updates, the queries that autoscalers ask."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.harness.tandem import ROOT
from tests.k8s.checks.objects import pods, said
from tests.k8s.rendered import Manifest, of_kind

BOUNDS = {
    "HorizontalPodAutoscaler": ("minReplicas", "maxReplicas"),
    "ScaledObject": ("minReplicaCount", "maxReplicaCount"),
}


def scaling(objects: list[Manifest]) -> Iterator[str]:
    """One autoscaler for a Deployment at most, with bounds that make sense; and none that `kubectl apply` undoes."""
    scaled: dict[str, list[str]] = {each.name: [] for each in pods(objects)}
    for each in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject"):
        spec, target = each["spec"], each["spec"]["scaleTargetRef"]["name"]
        least, most = (spec.get(bound, 0) for bound in BOUNDS[each["kind"]])
        if target not in scaled:
            yield f"{said(each)}: no Deployment {target}"
            continue
        scaled[target].append(said(each))
        if not 2 <= least <= most:
            yield f"{said(each)}: from {least} to {most}"
        if not least <= spec.get("fallback", {}).get("replicas", least) <= most:
            yield f"{said(each)}: its fallback is out of bounds"
        if "fallback" in spec and all(trigger.get("metricType") != "AverageValue" for trigger in spec["triggers"]):
            yield f"{said(each)}: KEDA refuses a fallback without a trigger of AverageValue"
    for each in pods(objects):
        if len(scaled[each.name]) > 1:
            yield f"{each.name}: scaled by {scaled[each.name]}"
        if scaled[each.name] and "replicas" in each.deployment["spec"]:
            yield f"{each.name}: an apply undoes what the autoscaler did"
        if scaled[each.name] and "cpu" not in each.container["resources"]["requests"]:
            yield f"{each.name}: a share of no CPU request"
        if "nvidia.com/gpu" in each.container["resources"]["limits"]:
            if each.container["resources"]["limits"]["nvidia.com/gpu"] != 1:
                yield f"{each.name}: not one GPU a pod"
            if each.deployment["spec"]["strategy"]["rollingUpdate"] != {"maxSurge": 0, "maxUnavailable": 1}:
                yield f"{each.name}: an update waits for a GPU that it holds itself"
        elif each.deployment["spec"]["strategy"]["rollingUpdate"] != {"maxSurge": 1, "maxUnavailable": 0}:
            yield f"{each.name}: an update takes pods away before others serve"


def queries(objects: list[Manifest]) -> Iterator[str]:
    """Every metric that a query names is one of server/metrics.py."""
    known = set(re.findall(r'"(tandem_\w+)"', (ROOT / "server" / "metrics.py").read_text()))
    for each in of_kind(objects, "ScaledObject"):
        for trigger in each["spec"]["triggers"]:
            used = set(re.findall(r"tandem_\w+", trigger["metadata"].get("query", "")))
            if trigger["type"] == "prometheus" and not used:
                yield f"{said(each)}: asks for no metric of ours"
            yield from (f"{said(each)}: there is no metric {name}" for name in used - known)
