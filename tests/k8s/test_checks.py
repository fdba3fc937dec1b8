"""Every check of the manifests is able to fail: each of these mistakes, made in what is right, is seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.k8s.checks import CHECKS, Check
from tests.k8s.checks.of_pods import habits, pod_security, settings, time_to_leave
from tests.k8s.checks.of_references import ports, references, selectors
from tests.k8s.checks.of_scaling import queries, scaling
from tests.k8s.checks.of_traffic import network, paths, redirect
from tests.k8s.rendered import Manifest, compose, of_kind, one, render

pytestmark = pytest.mark.ship

GONE = object()
POD = "Deployment/tandem spec template spec"
BOX = f"{POD} containers 0"
GPU = "Deployment/tandem-gpu spec"
ROUTE = "HTTPRoute/tandem spec"
NOBODY = {"matchLabels": {"app.kubernetes.io/name": "nobody"}}

MISTAKES: list[tuple[Check, str, Any]] = [
    (pod_security, f"{POD} securityContext runAsNonRoot", False),
    (pod_security, f"{POD} securityContext runAsUser", 0),
    (pod_security, f"{POD} securityContext seccompProfile", GONE),
    (pod_security, f"{POD} volumes 3", {"name": "data", "hostPath": {"path": "/"}}),
    (pod_security, f"{POD} hostNetwork", True),
    (pod_security, f"{POD} initContainers", [{"name": "x"}]),
    (pod_security, f"{POD} securityContext sysctls", [{"name": "x", "value": "1"}]),
    (pod_security, f"{BOX} ports 0 hostPort", 80),
    (pod_security, f"{BOX} securityContext privileged", True),
    (pod_security, f"{BOX} securityContext allowPrivilegeEscalation", GONE),
    (pod_security, f"{BOX} securityContext capabilities", GONE),
    (pod_security, f"{BOX} securityContext capabilities add", ["NET_ADMIN"]),
    (habits, f"{POD} enableServiceLinks", GONE),
    (habits, f"{POD} automountServiceAccountToken", True),
    (habits, f"{POD} securityContext fsGroup", 0),
    (habits, f"{POD} volumes 4 emptyDir", {}),
    (habits, f"{BOX} startupProbe", GONE),
    (habits, f"{BOX} securityContext readOnlyRootFilesystem", False),
    (habits, f"{BOX} resources requests memory", "4Gi"),
    (habits, f"{BOX} resources limits cpu", "2"),
    (habits, f"{GPU} template spec containers 0 resources limits nvidia.com/gpu", 0),
    (settings, "ConfigMap/tandem data TANDEM_R_WORKER", "2"),
    (settings, "ConfigMap/tandem data TANDEM_SANDBOX", "yes"),
    (settings, "ConfigMap/tandem data TANDEM_TOKEN_KEY", "/etc/token.key"),
    (settings, "ConfigMap/tandem data TANDEM_PORT", "8001"),
    (settings, "ConfigMap/tandem data TANDEM_REMOTES", "gpu=http://tandem-gpus"),
    (settings, "ConfigMap/tandem data TANDEM_REMOTES", "gpu=http://tandem"),
    (settings, "ConfigMap/tandem-gpu data TANDEM_REMOTES", "gpu=http://tandem-gpu"),
    (settings, f"{POD} volumes 2 secret defaultMode", 0o444),
    (time_to_leave, f"{POD} terminationGracePeriodSeconds", 60),
    (time_to_leave, f"{BOX} lifecycle", GONE),
    (time_to_leave, "ConfigMap/tandem data TANDEM_TIMEOUT_S", "60"),
    (time_to_leave, "ConfigMap/tandem data TANDEM_DRAIN_S", "20"),
    (time_to_leave, "ConfigMap/tandem data TANDEM_KEEPALIVE_S", "75"),
    (time_to_leave, f"{ROUTE} rules 0 timeouts", GONE),
    (time_to_leave, f"{ROUTE} rules 0 timeouts request", "30s"),
    (selectors, "Service/tandem spec selector app.kubernetes.io/name", "nobody"),
    (selectors, "Service/tandem spec selector app.kubernetes.io/component", GONE),
    (selectors, "PodDisruptionBudget/tandem spec selector", {}),
    (selectors, "PodMonitor/tandem spec selector", NOBODY),
    (selectors, "NetworkPolicy/from-gateway spec podSelector", NOBODY),
    (selectors, "NetworkPolicy/gpu-from-cpu spec ingress 0 from 0 podSelector", NOBODY),
    (selectors, f"{POD} topologySpreadConstraints 0 labelSelector", NOBODY),
    (selectors, f"{GPU} selector", {"matchLabels": {"app.kubernetes.io/name": "tandem"}}),
    (ports, "Service/tandem spec ports 0 targetPort", "web"),
    (ports, "PodMonitor/tandem spec podMetricsEndpoints 0 port", "web"),
    (ports, "NetworkPolicy/from-gateway spec ingress 0 ports 0 port", "web"),
    (ports, "NetworkPolicy/cpu-to-gpu spec egress 0 ports 0 port", "web"),
    (ports, f"{ROUTE} rules 0 backendRefs 0 port", 8000),
    (ports, f"{ROUTE} rules 0 backendRefs 0 name", "tandems"),
    (ports, f"{BOX} livenessProbe httpGet port", "metrics"),
    (references, f"{BOX} envFrom 0 configMapRef name", "tandem"),
    (references, f"{POD} serviceAccountName", "default"),
    (references, f"{POD} volumes 2 secret secretName", "tandems"),
    (references, f"{POD} volumes 1 csi volumeAttributes secretProviderClass", "tandems"),
    (references, f"{BOX} volumeMounts 0", GONE),
    (references, "PersistentVolumeClaim/tandem-models", GONE),
    (references, "PersistentVolumeClaim/tandem-models spec volumeName", "models"),
    (references, "PersistentVolume/tandem-models spec claimRef namespace", "default"),
    (references, "SecretProviderClass/tandem spec secretObjects 0 data 1", GONE),
    (references, "Namespace/tandem-gateway", GONE),
    (references, "ClusterIssuer/letsencrypt-production", GONE),
    (
        references,
        "ClusterIssuer/letsencrypt-staging spec acme solvers 0 http01 gatewayHTTPRoute parentRefs 0 name",
        "x",
    ),
    (references, "Gateway/tandem spec listeners 0 name", "web"),
    (references, "Gateway/tandem spec listeners 1 allowedRoutes namespaces", {"from": "Same"}),
    (references, f"{ROUTE} parentRefs 0 sectionName", "http"),
    (references, f"{ROUTE} hostnames 0", "tandem.example.org"),
    (references, "TriggerAuthentication/tandem-prometheus", GONE),
    (paths, f"{BOX} readinessProbe httpGet path", "/healthz"),
    (paths, f"{ROUTE} rules 0 matches 2 path value", "/v3"),
    (paths, f"{ROUTE} rules 0 matches 6", GONE),
    (paths, f"{ROUTE} rules 0 matches 0 path type", "PathPrefix"),
    (redirect, "HTTPRoute/to-https", GONE),
    (redirect, "HTTPRoute/to-https spec rules 0 matches 0 path", {"type": "RegularExpression", "value": "/.*"}),
    (redirect, "HTTPRoute/to-https spec rules 0 filters 0 requestRedirect scheme", "http"),
    (redirect, f"{ROUTE} parentRefs 0 sectionName", GONE),
    (network, "NetworkPolicy/default-deny", GONE),
    (network, "NetworkPolicy/default-deny spec policyTypes", ["Ingress"]),
    (network, "NetworkPolicy/cpu-to-gpu spec egress 0 to", GONE),
    (network, "NetworkPolicy/cpu-to-gpu spec egress 0 to 0", {"ipBlock": {"cidr": "0.0.0.0/0"}}),
    (network, "NetworkPolicy/cpu-to-gpu spec egress 0 to 0", {"namespaceSelector": {}}),
    (network, "NetworkPolicy/cpu-to-gpu spec egress 1", GONE),
    (network, "NetworkPolicy/from-prometheus", GONE),
    (network, "NetworkPolicy/from-gateway", GONE),
    (scaling, "ScaledObject/tandem spec minReplicaCount", 11),
    (scaling, "ScaledObject/tandem spec minReplicaCount", 1),
    (scaling, "ScaledObject/tandem spec fallback replicas", 1),
    (scaling, "ScaledObject/tandem spec triggers 0 metricType", "Value"),
    (scaling, "ScaledObject/tandem spec scaleTargetRef name", "tandems"),
    (scaling, "Deployment/tandem spec replicas", 2),
    (scaling, "Deployment/tandem spec strategy rollingUpdate maxUnavailable", 1),
    (scaling, f"{BOX} resources requests cpu", GONE),
    (scaling, f"{GPU} strategy rollingUpdate maxSurge", 1),
    (queries, "ScaledObject/tandem spec triggers 0 metadata query", "max(tandem_queue_waits)"),
]


def put(objects: list[Manifest], where: str, value: Any) -> None:
    """Change a field, `Kind/name path to it`; a number is a place in a list. GONE takes it, or the object, away."""
    what, *path = where.split()
    kind, name = what.split("/")
    target: Any = _hashed(objects, name) if kind == "ConfigMap" else one(objects, kind, name)
    if not path:
        objects.remove(target)
        return
    *way, last = [int(key) if key.isdigit() else key for key in path]
    for key in way:
        target = target[key]
    if value is GONE:
        del target[last]
    else:
        target[last] = value


def _hashed(objects: list[Manifest], name: str) -> Manifest:
    (found,) = [each for each in of_kind(objects, "ConfigMap") if each["metadata"]["name"].rpartition("-")[0] == name]
    return found


@pytest.mark.parametrize(
    ("check", "where", "value"), MISTAKES, ids=[f"{check.__name__}: {where}" for check, where, _ in MISTAKES]
)
def test_a_check_sees_a_mistake(check: Check, where: str, value: Any) -> None:
    objects = render("aks-gpu")
    put(objects, where, value)
    assert list(check(objects))


def test_mistakes_are_tried_for_every_check() -> None:
    assert {check for check, _, _ in MISTAKES} == set(CHECKS)


def test_two_autoscalers_of_one_deployment_are_seen() -> None:
    second = one(compose("base", ["components/autoscale-cpu"]), "HorizontalPodAutoscaler", "tandem")
    assert list(scaling([*render("aks"), second]))


@pytest.mark.parametrize(("where", "value"), [("port name", "web"), ("name", "tandems")])
def test_a_mistake_in_the_ingress_is_seen(where: str, value: str) -> None:
    objects = render("plain")
    put(objects, f"Ingress/tandem spec rules 0 http paths 0 backend service {where}", value)
    assert list(ports(objects))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("to 0 ipBlock except", ["10.0.0.0/8"]),
        ("to 0 ipBlock except", GONE),
        ("ports 0 port", 80),
        ("ports", GONE),
    ],
)
def test_a_way_out_that_leads_to_more_than_the_web_is_seen(where: str, value: Any) -> None:
    objects = render("plain")
    put(objects, f"NetworkPolicy/to-identity-providers spec egress 0 {where}", value)
    assert list(network(objects))
