"""A gateway and the pods behind it, all made from one overlay, with a certificate that `trust` believes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.harness.gateway import Gateway
from tests.harness.pods import Pod, volumes
from tests.harness.ship import image
from tests.harness.tandem import ROOT
from tests.k8s.rendered import render
from tests.k8s.tls import Authority

SLEEPER = """
import json, time

def init():
    pass

def run(raw_data):
    time.sleep(json.loads(raw_data)["seconds"])  # a slow model: what is to be in flight takes its time
    return "awake"
"""


class Cluster:
    """What an overlay describes, as far as it can be run here. Whatever it has made ends with `stop`."""

    def __init__(self, folder: Path, overlay: str, **models: Iterable[Path]) -> None:
        self.folder = folder
        self.manifests = render(overlay)
        self.mounts = volumes(folder / "volumes", **models)
        self.gateway = Gateway(folder / "gateway", self.manifests)
        authority = Authority(folder / "ca")
        self.authority = authority.path
        self.trust = authority.trusted()
        self.gateway.set(secrets={self.gateway.secret: authority.issue(self.gateway.host)}).start()
        self._ends = ExitStack()
        self._ends.callback(self.gateway.stop)

    def pod(self, deployment: str = "tandem", name: str = "", **settings: object) -> Pod:
        """A pod of a Deployment, not yet started; of the image of that name, or the CPU's."""
        pod = Pod(self.manifests, deployment, name or image(), self.mounts, **settings)
        self._ends.callback(pod.remove)
        return pod

    def client(self, **more: Any) -> httpx.Client:
        """A caller who comes by TLS."""
        return self.gateway.client(self.gateway.host, self.trust, **more)

    def stop(self) -> None:
        self._ends.close()


def aks(folder: Path) -> Cluster:
    """The overlay of that name, with a model of R, one of scikit-learn, and the sleeper."""
    python = [ROOT / "python_models/iris_logistic.joblib", sleeper(folder)]
    return Cluster(folder, "aks", r=[ROOT / "r_models/mpg.rds"], python=python)


def sleeper(folder: Path) -> Path:
    """A model that takes as many seconds as it is told."""
    made = folder / "sleeper"
    made.mkdir()
    (made / "score.py").write_text(SLEEPER)
    return made


def score(client: httpx.Client, model: str, body: object, token: str, **headers: str) -> httpx.Response:
    """POST JSON to a model's scoring route."""
    return client.post(f"/v1/models/{model}/score", json=body, headers={"authorization": f"Bearer {token}"} | headers)
