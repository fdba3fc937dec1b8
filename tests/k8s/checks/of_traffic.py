"""Checks of who reaches whom: routes, redirects, network policies."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from types import ModuleType

from fastapi.routing import APIRoute
from starlette.routing import Route

from auth import routes as auth_routes
from server.web import routes as web_routes
from tests.k8s.checks.objects import IMDS, PROBES, ingress_paths, matches, peers_of, pods, said
from tests.k8s.rendered import Manifest, of_kind


def paths(objects: list[Manifest]) -> Iterator[str]:
    """Probes and routes ask for what the application has; what it has for callers is routed, and nothing else is."""
    routes = application_routes()
    for each in pods(objects):
        for probe in PROBES:
            path = each.container.get(probe, {}).get("httpGet", {}).get("path", "/health/live")
            if path not in routes:
                yield f"{each.name}: {probe} asks for {path}, which is no route"
    for each, given in _routed(objects):
        for kind, path in given:
            if not any(_covers(kind, path, route) for route in routes):
                yield f"{said(each)}: {path} is no route"
        for route in routes:
            if not any(_covers(kind, path, route) for kind, path in given):
                yield f"{said(each)}: {route} cannot be reached"
        if any(_covers(kind, path, "/metrics") for kind, path in given):
            yield f"{said(each)}: /metrics is routed"


def application_routes() -> set[str]:
    """The paths of the route table, and the scoring routes, which server/web/scoring/route.py takes in front of it."""
    parts: list[ModuleType] = [auth_routes]
    for module in pkgutil.iter_modules(web_routes.__path__):
        parts.append(importlib.import_module(f"{web_routes.__name__}.{module.name}"))
    routers = [part.router for part in parts if hasattr(part, "router")]
    listed = {route.path for router in routers for route in router.routes if isinstance(route, APIRoute | Route)}
    return listed | {"/v1/models/{model}/score", "/v1/models/{model}/versions/{version}/score"}


def _routed(objects: list[Manifest]) -> Iterator[tuple[Manifest, list[tuple[str, str]]]]:
    for route in of_kind(objects, "HTTPRoute"):
        rules = [rule for rule in route["spec"]["rules"] if "backendRefs" in rule]
        if rules:
            matches = [match["path"] for rule in rules for match in rule["matches"]]
            yield route, [(match["type"], match["value"]) for match in matches]
    for ingress in of_kind(objects, "Ingress"):
        yield ingress, [(path["pathType"], path["path"]) for _, _, path in ingress_paths([ingress])]


def _covers(kind: str, path: str, route: str) -> bool:
    return route == path or (kind in ("PathPrefix", "Prefix") and f"{route}/".startswith(f"{path.rstrip('/')}/"))


def redirect(objects: list[Manifest]) -> Iterator[str]:
    """Plain HTTP is only redirected, and a challenge's route (one host, one exact path) is more specific than that."""
    for gateway in of_kind(objects, "Gateway"):
        plain = {listener["name"] for listener in gateway["spec"]["listeners"] if listener["protocol"] == "HTTP"}
        routes = [
            route
            for route in of_kind(objects, "HTTPRoute")
            if any(parent.get("sectionName") in {*plain, None} for parent in route["spec"]["parentRefs"])
        ]
        if len(routes) != 1:
            yield f"{said(gateway)}: not one route on plain HTTP"
        for rule in (rule for route in routes for rule in route["spec"]["rules"]):
            to = [f["requestRedirect"] for f in rule.get("filters", []) if f["type"] == "RequestRedirect"]
            if [(each["scheme"], each["statusCode"]) for each in to] != [("https", 301)] or "backendRefs" in rule:
                yield f"{said(gateway)}: plain HTTP is not just redirected"
            if any(match["path"]["type"] != "PathPrefix" or match.keys() != {"path"} for match in rule["matches"]):
                yield f"{said(gateway)}: the redirect may go before a challenge"


def _is_known_without_metadata(policy: Manifest, peer: Manifest) -> bool:
    """Whether this leads out on the port of https or of PostgreSQL alone, and not to the instance metadata."""
    block = peer.get("ipBlock", {})
    excepted = any(ip_address(IMDS) in ip_network(network) for network in block.get("except", []))
    rules = [rule for rule in policy["spec"].get("egress", []) if peer in rule["to"]]
    return bool(rules) and excepted and all(_ports(rule) in ([443], [5432]) for rule in rules)


def _ports(rule: Manifest) -> list[int]:
    return [port["port"] for port in rule.get("ports", [])]


def network(objects: list[Manifest]) -> Iterator[str]:
    """All is closed; what is opened is opened to somebody; nothing leads to the instance metadata."""
    policies = of_kind(objects, "NetworkPolicy")
    closed = {
        each["metadata"]["namespace"]
        for each in policies
        if each["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }
    for pod in pods(objects):
        if pod.namespace not in closed:
            yield f"{pod.name}: its namespace is open"
        opened = [p for p in policies if matches(pod.labels, p["spec"]["podSelector"])]
        asked = {port["port"] for p in opened for rule in p["spec"].get("ingress", []) for port in rule["ports"]}
        if of_kind(objects, "PodMonitor") and "metrics" not in asked:
            yield f"{pod.name}: nobody may read its metrics"
        if of_kind(objects, "Gateway", "Ingress") and "http" not in asked:
            yield f"{pod.name}: no request gets in"
    for each in policies:
        for way, peers in (("ingress", "from"), ("egress", "to")):
            for rule in each["spec"].get(way, []):
                if not rule.get(peers) or not rule.get("ports"):
                    yield f"{said(each)}: open to everybody, or on every port"
        for peer in peers_of(each):
            labels = [(peer.get(name) or {}).get("matchLabels") for name in ("namespaceSelector", "podSelector")]
            if not any(labels) and not _is_known_without_metadata(each, peer):
                yield f"{said(each)}: opens addresses (is {IMDS} among them?), or everything"
    for each in pods(objects):
        for remote in filter(None, each.settings.remotes.split(",")):
            opened = [p for p in policies if matches(each.labels, p["spec"]["podSelector"])]
            out = {port["port"] for p in opened for rule in p["spec"].get("egress", []) for port in rule["ports"]}
            if not out >= {"http", 53}:
                yield f"{each.name}: cannot reach {remote}"
