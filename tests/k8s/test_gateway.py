"""The real image, run as the rendered Deployment says, and asked through a gateway made from the rendered routes."""

from __future__ import annotations

import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.harness.gateway import Gateway, Unsupported, Wired, configuration, seconds
from tests.harness.pods import Pod, sign_in
from tests.k8s.cluster import Cluster, aks, score
from tests.k8s.rendered import Manifest, of_kind, one, render

pytestmark = pytest.mark.ship

CAR = {"wt": 2.62, "hp": 110, "cyl": "6"}
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = aks(tmp_path_factory.mktemp("gateway"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def pod(cluster: Cluster) -> Pod:
    """The one pod behind the gateway, which comes from an address that it trusts."""
    pod = cluster.pod(trusted_proxies="127.0.0.1").start().becomes_ready()
    cluster.gateway.set(pods={"tandem": [pod.address]})
    return pod


@pytest.fixture
def client(cluster: Cluster, pod: Pod) -> Iterator[httpx.Client]:
    with cluster.client() as client:
        yield client


@pytest.fixture(scope="module")
def token(cluster: Cluster, pod: Pod) -> str:
    with cluster.client() as client:
        return sign_in(client, "scorer")


# The pod


def test_the_pod_has_no_more_rights_than_the_manifest_gives(pod: Pod) -> None:
    status = dict(line.split(":\t", 1) for line in pod.run("cat", "/proc/1/status").splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["10001"] * 4 and status["Gid"].split() == ["10001"] * 4
    assert {status[name] for name in ("CapEff", "CapPrm", "CapBnd")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    mounts = {line.split()[1]: line.split()[3].split(",") for line in pod.run("cat", "/proc/mounts").splitlines()}
    assert "ro" in mounts["/"] and "ro" in mounts["/models"] and "ro" in mounts["/run/secrets/tandem"]
    assert {path for path in ("/tmp", "/var/lib/tandem", "/dev/shm") if "rw" in mounts[path]} == {
        path["mountPath"] for path in pod.container["volumeMounts"] if not path.get("readOnly")
    }


def test_the_pod_knows_the_memory_that_the_manifest_grants(pod: Pod) -> None:
    assert pod.metric("tandem_memory_granted_bytes") == pod.memory_bytes


# Ways in


def test_http_is_sent_to_https_with_path_and_query(cluster: Cluster, pod: Pod) -> None:
    with cluster.gateway.client(cluster.gateway.host) as client:
        reply = client.get("/docs?a=1&b=%2F")
        assert reply.status_code == 301
        assert reply.headers["location"] == f"https://{cluster.gateway.host}/docs?a=1&b=%2F"
        assert client.post("/v1/models/mpg/score", json={}).status_code == 301


@pytest.mark.parametrize(("flag", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_a_caller_who_begins_with_http_ends_at_tandem(cluster: Cluster, pod: Pod, flag: str, version: str) -> None:
    host = cluster.gateway.host
    ways = [
        f"--connect-to {host}:{well_known}:127.0.0.1:{cluster.gateway.port(listener)}"
        for listener, well_known in (("http", 80), ("https", 443))
    ]
    command = f"curl -sS --location {flag} --cacert {cluster.authority} {' '.join(ways)} http://{host}/health/live"
    told = ["--write-out", " %{http_version} %{num_redirects} %{url_effective}"]
    done = subprocess.run([*command.split(), *told], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f" {version} 1 https://{host}/health/live"), done.stdout


def test_a_caller_who_does_not_trust_the_authority_does_not_connect(cluster: Cluster, pod: Pod) -> None:
    with (
        cluster.gateway.client(cluster.gateway.host, ssl.create_default_context()) as stranger,
        pytest.raises(httpx.ConnectError, match="certificate verify failed"),
    ):
        stranger.get("/")


def test_another_host_is_not_served(cluster: Cluster, pod: Pod) -> None:
    with cluster.gateway.client("other.example.com") as client:
        assert client.get("/docs").status_code == 404
    with (
        cluster.gateway.client("other.example.com", cluster.trust) as client,
        pytest.raises(httpx.ConnectError, match="unrecognized name"),
    ):
        client.get("/docs")


@pytest.mark.parametrize("path", ["/metrics", "/v1/%2e%2e/metrics", "/v1x", "/admin", "/.well-known/acme-challenge/x"])
def test_what_has_no_route_does_not_reach_tandem(client: httpx.Client, pod: Pod, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 404
    assert "x-request-id" not in reply.headers


# What callers do


def test_r_and_python_models_answer(client: httpx.Client, pod: Pod, token: str) -> None:
    for model, row in (("mpg", CAR), ("iris_logistic", FLOWER)):
        through = score(client, model, {"rows": [row]}, token)
        with httpx.Client(base_url=pod.url) as past:
            direct = score(past, model, {"rows": [row]}, token)
        assert through.status_code == 200, through.text
        assert through.json() == direct.json()
    assert through.json()["predictions"] == ["setosa"]


def test_who_has_no_token_is_refused(client: httpx.Client) -> None:
    assert client.post("/v1/models/mpg/score", json={"rows": [CAR]}).json()["code"] == "unauthenticated"


def test_the_docs_and_all_that_they_load_come_through(client: httpx.Client, token: str) -> None:
    for page in ("/docs", "/"):
        reply = client.get(page, headers={"accept": "text/html"})
        assert reply.status_code == 200
        loaded = re.findall(r'(?:src|href)="(/assets/[^"]+)"', reply.text)
        assert loaded
        for asset in loaded:
            assert client.get(asset).status_code == 200, asset
    document = client.get("/openapi.json", headers={"authorization": f"Bearer {token}"}).json()
    assert {"/v1/models/mpg/score", "/v1/models/iris_logistic/score"} <= set(document["paths"])


def test_tandem_itself_refuses_a_body_that_is_too_large(client: httpx.Client, pod: Pod, token: str) -> None:
    """The class approuting-istio cannot limit bodies, so the gateway here does not either."""
    reply = client.post(
        "/v1/models/mpg/score",
        content=b" " * (65 << 20),
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    assert (reply.status_code, reply.headers["content-type"]) == (413, "application/problem+json")
    assert reply.json()["code"] == "body_too_large"


def test_a_request_id_goes_there_and_back(client: httpx.Client, token: str) -> None:
    assert (
        score(client, "mpg", {"rows": [CAR]}, token, **{"x-request-id": "order-66"}).headers["x-request-id"]
        == "order-66"
    )


# Time


def test_the_gateway_waits_longer_than_the_server_so_that_its_answer_is_the_servers(
    cluster: Cluster, client: httpx.Client, pod: Pod, token: str
) -> None:
    (rule,) = one(cluster.manifests, "HTTPRoute", "tandem")["spec"]["rules"]
    assert seconds(rule["timeouts"]["request"]) >= float(pod.environment["TANDEM_TIMEOUT_S"]) + 5
    reply = score(client, "sleeper", {"seconds": 20}, token, **{"x-request-timeout-ms": "300"})
    assert (reply.status_code, reply.json()["code"]) == (504, "deadline_exceeded")


def test_a_route_that_waits_for_less_long_tells_tandem_so(
    cluster: Cluster, client: httpx.Client, pod: Pod, token: str
) -> None:
    manifests = render("aks")
    one(manifests, "HTTPRoute", "tandem")["spec"]["rules"][0]["timeouts"]["request"] = "1s"
    cluster.gateway.set(manifests)
    try:
        began = time.monotonic()
        assert score(client, "sleeper", {"seconds": 20}, token).status_code == 504
        assert 0.9 < time.monotonic() - began < 5
        assert score(client, "sleeper", {"seconds": 0}, token).status_code == 200  # its worker is not kept busy
    finally:
        cluster.gateway.set(cluster.manifests)


# Who is asking


def test_wrong_passwords_count_for_the_caller_whatever_it_says_of_itself(cluster: Cluster, pod: Pod) -> None:
    """After 20 from one address it has to wait; others do not, though all come through one gateway."""

    def attempts(client: httpx.Client) -> list[int]:
        return [_wrong_password(client, f"198.51.100.{n}") for n in range(21)]

    with cluster.client(address="127.0.0.3") as guesser, cluster.client(address="127.0.0.4") as other:
        assert attempts(guesser) == [400] * 20 + [429]
        assert _wrong_password(other) == 400
        assert sign_in(other, "analyst")
    past = httpx.HTTPTransport(local_address="127.0.0.5")  # no trusted proxy, so not believed
    with httpx.Client(base_url=pod.url, transport=past) as direct:
        assert attempts(direct) == [400] * 20 + [429]


def _wrong_password(client: httpx.Client, forwarded_for: str | None = None) -> int:
    # No account can have this name, so that nothing is hashed: only the address counts.
    form = {"grant_type": "password", "username": "!", "password": "wrong"}
    headers = {"x-forwarded-for": forwarded_for} if forwarded_for else {}
    return client.post("/auth/token", data=form, headers=headers).status_code


# The stand-in itself

ROUTES = """
- kind: Gateway
  metadata: {name: g, namespace: a}
  spec:
    listeners:
      - {name: http, protocol: HTTP, port: 80, allowedRoutes: {namespaces: {from: Same}}}
- kind: HTTPRoute
  metadata: {name: one, namespace: a}
  spec:
    parentRefs: [{name: g}]
    rules:
      - matches: [{path: {type: PathPrefix, value: /v1}}]
        backendRefs: [{name: nobody, port: 80}]
      - matches: [{path: {type: Exact, value: /v1/exact}}, {path: {type: PathPrefix, value: /v1/longer}}]
        filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]
- kind: HTTPRoute
  metadata: {name: two, namespace: a}
  spec:
    parentRefs: [{name: g}]
    rules:
      - matches: [{path: {type: Exact, value: /v1/exact}}, {path: {type: PathPrefix, value: /two}}]
        backendRefs: [{name: empty, port: 80}]
- kind: HTTPRoute
  metadata: {name: stranger, namespace: b}
  spec:
    parentRefs: [{name: g, namespace: a}]
    rules:
      - matches: [{path: {type: Exact, value: /b}}]
        backendRefs: [{name: empty, port: 80}]
- {kind: Service, metadata: {name: empty, namespace: a}, spec: {ports: [{port: 80}]}}
"""
NOBODY, NONE, REDIRECT, EMPTY = 500, 404, 302, 503


def test_the_most_specific_route_answers(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, yaml.safe_load(ROUTES)).start()
    answers = {
        **{"/v1": NOBODY, "/v1/": NOBODY, "/v1/x": NOBODY, "/v1x": NONE, "/": NONE},
        **{"/v1/exact": REDIRECT, "/v1/exact/x": NOBODY, "/v1/longer": REDIRECT, "/v1/longer/x": REDIRECT},
        **{"/two": EMPTY, "/two/x": EMPTY, "/b": NONE},
    }
    try:
        with gateway.client("any.example.com") as client:
            assert {path: client.get(path).status_code for path in answers} == answers
    finally:
        gateway.stop()


def _rule(manifests: list[Manifest]) -> Any:
    return of_kind(manifests, "HTTPRoute")[0]["spec"]["rules"][0]


@pytest.mark.parametrize(
    "beyond",
    [
        lambda rule: rule["matches"][0].update(method="POST"),
        lambda rule: rule["matches"][0]["path"].update(type="RegularExpression"),
        lambda rule: rule.update(filters=[{"type": "URLRewrite"}]),
        lambda rule: rule["backendRefs"].append({"name": "empty", "port": 80}),
        lambda rule: rule.update(timeouts={"backendRequest": "5s"}, backendRefs=[{"name": "empty", "port": 80}]),
        lambda rule: rule.update(timeouts={"request": "5"}, backendRefs=[{"name": "empty", "port": 80}]),
    ],
    ids=["method", "regular expression", "rewrite", "two backends", "timeout", "duration"],
)
def test_what_the_stand_in_cannot_do_it_does_not_ignore(beyond: Callable[[Any], None]) -> None:
    manifests = yaml.safe_load(ROUTES)
    beyond(_rule(manifests))
    with pytest.raises(Unsupported):
        configuration(manifests, Wired({"http": 1}, {"empty": ["127.0.0.1:1"]}, {}))
