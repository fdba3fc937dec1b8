"""Checks of what objects say of each other: selectors, ports, names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.k8s.checks.objects import (
    BY_HAND,
    NAME,
    PROBES,
    Pods,
    ingress_paths,
    matches,
    names,
    peers_of,
    pods,
    said,
    selected,
)
from tests.k8s.rendered import Manifest, of_kind


def selectors(objects: list[Manifest]) -> Iterator[str]:
    """Whoever selects pods finds some; a Deployment finds its own and nobody else's."""
    for each in pods(objects):
        own = each.deployment["spec"]["selector"]
        if [found.name for found in selected(objects, each.namespace, own)] != [each.name]:
            yield f"{each.name}: selects other pods than its own"
        for spread in each.spec.get("topologySpreadConstraints", []):
            if not matches(each.labels, spread["labelSelector"]):
                yield f"{each.name}: spreads other pods than its own"
    for each in of_kind(objects, "Service", "PodDisruptionBudget", "PodMonitor", "NetworkPolicy"):
        namespace = each["metadata"]["namespace"]
        found = selected(objects, namespace, _selector(each))
        if not found:
            yield f"{said(each)}: selects no pod"
        if each["kind"] in ("Service", "PodDisruptionBudget") and len(found) > 1:
            yield f"{said(each)}: selects pods of several Deployments"
        for peer in peers_of(each):
            if (
                "podSelector" in peer
                and "namespaceSelector" not in peer
                and not selected(objects, namespace, peer["podSelector"])
            ):
                yield f"{said(each)}: a peer that is no pod"


def ports(objects: list[Manifest]) -> Iterator[str]:
    """Every port that is named is a port of the pods, or of the Service, that is meant."""
    services = {(s["metadata"]["namespace"], s["metadata"]["name"]): s for s in of_kind(objects, "Service")}
    for each in pods(objects):
        for probe in PROBES:
            if each.container.get(probe, {"httpGet": {"port": "http"}})["httpGet"]["port"] != "http":
                yield f"{each.name}: {probe} asks another port than http"
    for each in of_kind(objects, "Service", "PodMonitor", "NetworkPolicy"):
        for pod, port in _ports_meant(each, objects):
            if isinstance(port, str) and port not in pod.ports:
                yield f"{said(each)}: {pod.name} has no port {port}"
    for route in of_kind(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                service = services.get((route["metadata"]["namespace"], backend["name"]))
                if service is None or backend["port"] not in [port["port"] for port in service["spec"]["ports"]]:
                    yield f"{said(route)}: no Service {backend['name']} with port {backend['port']}"
    for ingress, _, path in ingress_paths(objects):
        backend = path["backend"]["service"]
        service = services.get((ingress["metadata"]["namespace"], backend["name"]))
        if service is None or backend["port"]["name"] not in [port["name"] for port in service["spec"]["ports"]]:
            yield f"{said(ingress)}: no Service {backend['name']} with port {backend['port']}"


def _ports_meant(each: Manifest, objects: list[Manifest]) -> Iterator[tuple[Pods, Any]]:
    spec, namespace = each["spec"], each["metadata"]["namespace"]
    if each["kind"] == "NetworkPolicy":
        for rule in spec.get("ingress", []):
            for pod in selected(objects, namespace, spec["podSelector"]):
                yield from ((pod, port["port"]) for port in rule.get("ports", []))
        for rule in spec.get("egress", []):
            for peer in (peer for peer in rule.get("to", []) if peer.keys() == {"podSelector"}):
                for pod in selected(objects, namespace, peer["podSelector"]):
                    yield from ((pod, port["port"]) for port in rule.get("ports", []))
        return
    meant = [port["targetPort"] for port in spec.get("ports", [])] or [e["port"] for e in spec["podMetricsEndpoints"]]
    for pod in selected(objects, namespace, _selector(each)):
        yield from ((pod, port) for port in meant)


def _selector(each: Manifest) -> Manifest:
    spec: Manifest = each["spec"]
    if each["kind"] == "Service":
        return {"matchLabels": spec["selector"]}
    return dict(spec["podSelector"] if each["kind"] == "NetworkPolicy" else spec["selector"])


def references(objects: list[Manifest]) -> Iterator[str]:
    """Every object that is named is there."""
    for each in objects:
        namespace = each["metadata"].get("namespace")
        if namespace is not None and ("", namespace) not in names(objects, "Namespace"):
            yield f"{said(each)}: no namespace {namespace}"
    synced = {
        (each["metadata"]["namespace"], secret["secretName"]): {item["key"] for item in secret["data"]}
        for each in of_kind(objects, "SecretProviderClass")
        for secret in each["spec"]["secretObjects"]
    }
    for pod in pods(objects):
        for kind, name in _pod_references(pod):
            if (pod.namespace, name) in names(objects, kind):
                continue
            if kind != "Secret" or (pod.namespace, name) not in {*synced, *BY_HAND}:
                yield f"{pod.name}: no {kind} {name}"
        mounted = {mount["name"] for mount in pod.container["volumeMounts"]}
        if mounted != {volume["name"] for volume in pod.spec["volumes"]}:
            yield f"{pod.name}: volumes and mounts differ"
    for keys in synced.values():
        for pod in pods(objects):
            accounts = pod.settings.database or pod.settings.accounts
            needed = {Path(path).name for path in (accounts, pod.settings.token_key) if path}
            if not needed <= keys:
                yield f"{pod.name}: the synced Secret lacks {needed - keys}"
    yield from _volume_references(objects)
    yield from _gateway_references(objects)
    for each in of_kind(objects, "ScaledObject"):
        for trigger in each["spec"]["triggers"]:
            wanted = trigger.get("authenticationRef", {}).get("name")
            if wanted and (each["metadata"]["namespace"], wanted) not in names(objects, "TriggerAuthentication"):
                yield f"{said(each)}: no TriggerAuthentication {wanted}"


def _pod_references(pod: Pods) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", pod.spec["serviceAccountName"]
    yield from (("ConfigMap", source["configMapRef"]["name"]) for source in pod.container["envFrom"])
    for volume in pod.spec["volumes"]:
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
        if "csi" in volume:
            yield "SecretProviderClass", volume["csi"]["volumeAttributes"]["secretProviderClass"]


def _volume_references(objects: list[Manifest]) -> Iterator[str]:
    claims = names(objects, "PersistentVolumeClaim")
    for each in of_kind(objects, "PersistentVolume"):
        claim = each["spec"]["claimRef"]
        if (claim["namespace"], claim["name"]) not in claims:
            yield f"{said(each)}: no claim {claim['name']}"
    for each in of_kind(objects, "PersistentVolumeClaim"):
        volume = each["spec"].get("volumeName")
        if volume is not None and ("", volume) not in names(objects, "PersistentVolume"):
            yield f"{said(each)}: no volume {volume}"


def _gateway_references(objects: list[Manifest]) -> Iterator[str]:
    issuers = {name for _, name in names(objects, "ClusterIssuer")}
    for gateway in of_kind(objects, "Gateway"):
        wanted = gateway["metadata"].get("annotations", {}).get("cert-manager.io/cluster-issuer")
        if wanted is not None and wanted not in issuers:
            yield f"{said(gateway)}: no ClusterIssuer {wanted}"
    for route in of_kind(objects, "HTTPRoute"):
        for parent in route["spec"]["parentRefs"]:
            namespace = route["metadata"]["namespace"]
            if not _admits(objects, parent | {"namespace": parent.get("namespace", namespace)}, namespace, route):
                yield f"{said(route)}: no listener {parent.get('sectionName')} takes it"
    for issuer in of_kind(objects, "ClusterIssuer"):
        for solver in issuer["spec"]["acme"]["solvers"]:
            for parent in solver["http01"]["gatewayHTTPRoute"]["parentRefs"]:
                # A challenge's route is made where the certificate is: in the namespace of the Gateway.
                if not _admits(objects, parent, parent["namespace"], None):
                    yield f"{said(issuer)}: no listener takes its challenges"


def _admits(objects: list[Manifest], parent: Manifest, namespace: str, route: Manifest | None) -> bool:
    """Whether the listener that is meant exists and takes a route from this namespace, for its hosts."""
    for gateway in of_kind(objects, "Gateway"):
        if (gateway["metadata"]["namespace"], gateway["metadata"]["name"]) != (parent["namespace"], parent["name"]):
            continue
        for listener in gateway["spec"]["listeners"]:
            if listener["name"] == parent.get("sectionName"):
                allowed = listener["allowedRoutes"]["namespaces"]
                same = allowed["from"] == "Same" and namespace == gateway["metadata"]["namespace"]
                chosen = allowed["from"] == "Selector" and matches({NAME: namespace}, allowed["selector"])
                hosts = route["spec"]["hostnames"] if route is not None else [listener["hostname"]]
                return (same or chosen) and hosts == [listener["hostname"]]
    return False
