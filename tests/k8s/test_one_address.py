"""A CPU pod and a "GPU" pod, which computes on the CPU here, answer as one server behind one gateway."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import yaml

from tests.harness.pods import Pod, sign_in
from tests.harness.ship import gpu_image
from tests.harness.tandem import ROOT, eventually
from tests.k8s.cluster import Cluster, score

pytestmark = pytest.mark.ship

CAR = {"rows": [{"wt": 2.62, "hp": 110, "cyl": "6"}]}
GOLDEN = yaml.safe_load((ROOT / "python_models/digits.yaml").read_text())["golden"][0]
DIGIT = {"rows": [GOLDEN["row"]], "output": "class"}
SERVICE = "http://tandem-gpu"
"""Where the manifest says that the other server is."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    models = {"r": [ROOT / "r_models/mpg.rds"], "gpu/python": [ROOT / "python_models/digits.pt2"]}
    cluster = Cluster(tmp_path_factory.mktemp("one-address"), "aks-gpu", **models)
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def gpu(cluster: Cluster) -> Pod:
    return cluster.pod("tandem-gpu", gpu_image()).start()


@pytest.fixture(scope="module")
def cpu(cluster: Cluster, gpu: Pod) -> Pod:
    manifest = cluster.pod().environment["TANDEM_REMOTES"]
    assert SERVICE in manifest
    cpu = cluster.pod(remotes=manifest.replace(SERVICE, gpu.url)).start()
    gpu.becomes_ready()
    cluster.gateway.set(pods={"tandem": [cpu.becomes_ready().address]})
    return cpu


@pytest.fixture(scope="module")
def client(cluster: Cluster, cpu: Pod) -> Iterator[httpx.Client]:
    with cluster.client() as client:
        yield client


@pytest.fixture(scope="module")
def token(client: httpx.Client) -> str:
    return sign_in(client, "scorer")


def test_one_token_is_good_for_the_models_of_both(client: httpx.Client, cpu: Pod, gpu: Pod, token: str) -> None:
    assert score(client, "mpg", CAR, token).status_code == 200
    relayed = score(client, "digits", DIGIT, token, **{"x-request-id": "relayed-1"})
    assert relayed.status_code == 200, relayed.text
    assert relayed.json()["predictions"] == [GOLDEN["class"]]
    eventually(lambda: '"request_id":"relayed-1"' in gpu.logs())
    with httpx.Client(base_url=gpu.url) as direct:
        assert score(direct, "digits", DIGIT, token).json() == relayed.json()

    # Counted where it passes, and where it is answered.
    eventually(lambda: cpu.metric("tandem_requests_total", model="digits", runtime="remote", code="ok") == 1)
    eventually(lambda: gpu.metric("tandem_requests_total", model="digits", runtime="torch", code="ok") == 2)
    assert cpu.metric("tandem_remote_up", remote="gpu") == 1


def test_catalog_and_document_list_both(client: httpx.Client, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    told = {model["model"]: model["versions"][0] for model in client.get("/v1/models", headers=headers).json()}
    assert {name: version.get("remote") for name, version in told.items()} == {"mpg": None, "digits": "gpu"}
    paths = client.get("/openapi.json", headers=headers).json()["paths"]
    assert {"/v1/models/mpg/score", "/v1/models/digits/score"} <= set(paths)


def test_a_gpu_pod_that_ends_takes_its_models_with_it_and_nothing_else(
    client: httpx.Client, cpu: Pod, gpu: Pod, token: str
) -> None:
    gpu.signal("TERM")
    assert gpu.wait(gpu.grace_s) == 0
    refused = score(client, "digits", DIGIT, token)
    assert (refused.status_code, refused.json()["code"]) == (503, "remote_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    eventually(lambda: cpu.metric("tandem_remote_up", remote="gpu") == 0)
    assert score(client, "mpg", CAR, token).status_code == 200
    assert cpu.passes("readinessProbe")

    gpu.restart().becomes_ready()
    again = eventually(lambda: (reply := score(client, "digits", DIGIT, token)).status_code == 200 and reply)
    assert again.json()["predictions"] == [GOLDEN["class"]]
    assert cpu.metric("tandem_remote_up", remote="gpu") == 1
