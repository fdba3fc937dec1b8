"""A real Prometheus that scrapes real Tandems, while callers meet every runtime and every outcome.

Three servers share accounts and a key: `front` has R, scikit-learn and a script, and relays what it lacks; `gpu` has
PyTorch, on the CPU; `lost` ends while it is asked. What comes from neither (cards, cert-manager, kube-state-metrics) is
served by a stand-in, and the cards' metrics there are Tandem's own instruments.
"""

from __future__ import annotations

import math
import secrets
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client import generate_latest

from server.metrics import SupervisorMetrics
from tests.harness.identity_provider import IDENTITY, Provider
from tests.harness.tandem import ROOT, Tandem, eventually, free_port
from tests.k8s.queries import MONITORING, asked

NEEDS_A_GPU = ("tandem_gpu_memory_bytes", "tandem_gpu_utilization_ratio")
ELSEWHERE = """
certmanager_certificate_expiration_timestamp_seconds{name="tandem-tls"} 4e9
kube_pod_container_status_restarts_total{namespace="tandem",pod="tandem-0",container="tandem"} 0
"""
CARS = """
f <- function(x) {
  if (any(x == 101)) stop("not that fast")
  if (any(x == 102)) Sys.sleep(5) # past the deadline
  if (any(x == 103)) Sys.sleep(0.2) # so that others have to wait
  if (any(x > 1000)) tools::pskill(Sys.getpid(), 9L)
  x
}
local({f <- f; lm(dist ~ f(speed), cars)})
"""
IRIS = {"rows": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]}
ENDPOINTS = """
endpoint: {name: flowers, traffic: {here: 50, gone: 50}, mirror_traffic: {next: 50}}
here: {name: here, endpoint_name: flowers, model: "azureml:lilies:1", collect: {}}
gone: {name: gone, endpoint_name: flowers, model: "azureml:lilies:2"}
next: {name: next, endpoint_name: flowers, model: "azureml:lilies:1"}
"""
"""An endpoint with a deployment whose model is not there, so that the other one answers its requests."""
LARGE_ROWS = 20_000
"""More than is recorded of one request, which is 1 MiB."""
MAX_CONNECTIONS = 60
ROUNDS = 4
"""Each outcome so often: a rate takes two scrapes, and a series has no value before its first event."""


class Prometheus:
    """A Prometheus with Tandem's rules, and what it answers."""

    def __init__(self, folder: Path, scrapes: list[dict[str, Any]]) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{free_port()}")
        config = folder / "prometheus.yml"
        every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        rules = [str(MONITORING / "rules.yaml")]
        config.write_text(yaml.safe_dump({"global": every, "rule_files": rules, "scrape_configs": scrapes}))
        self._command = [
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._client.base_url.netloc.decode()}",
            "--log.level=warn",
        ]

    @contextmanager
    def running(self) -> Iterator[Prometheus]:
        process = subprocess.Popen(self._command)
        try:
            eventually(lambda: self._client.get("/-/ready").status_code == 200)
            yield self
        finally:
            process.terminate()
            process.wait(20)
            self._client.close()

    def get(self, path: str, **parameters: str) -> Any:
        reply = self._client.get(f"/api/v1/{path}", params=parameters).json()
        assert reply["status"] == "success", (parameters, reply)
        return reply["data"]

    def values(self, expr: str) -> list[float]:
        """Of each series, now; NaN, which is how nothing over nothing looks, left out."""
        found = (float(series["value"][1]) for series in self.get("query", query=expr)["result"])
        return [value for value in found if not math.isnan(value)]

    def graph(self, expr: str) -> list[float]:
        """All points of the last minute, as a panel asks for them."""
        now = str(self.get("query", query="time()")["result"][1])
        drawn = self.get("query_range", query=expr, start=str(float(now) - 60), end=now, step="2")["result"]
        found = (float(point[1]) for series in drawn for point in series["values"])
        return [value for value in found if not math.isnan(value)]

    def complaint(self, expr: str) -> str | None:
        """What of an expression has no data; None where all has."""
        lacking = (part for part in asked(expr) if not (self.values(part) and self.graph(part)))
        return next(lacking, None)


class Traffic:
    """Callers that do everything, in rounds, until they are stopped."""

    def __init__(self, front: Tandem, lost: Tandem) -> None:
        self._front = front
        self._lost = lost
        self._digit = yaml.safe_load((ROOT / "python_models" / "digits.yaml").read_text())["golden"][0]["row"]
        self._client = httpx.Client(base_url=front.url, headers=front.headers(), timeout=60)
        self.rounds = 0
        self.codes: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        self._client.close()

    def _run(self) -> None:
        with ThreadPoolExecutor(30) as callers:
            while not self._stop.is_set():
                self._well()
                self._badly()
                list(callers.map(lambda _: self._ask("cars", speed(103)), range(30)))  # more than may wait
                self.rounds += 1
                if self.rounds == 2:
                    self._lost.stop()
                    self._crowd()

    def _well(self) -> None:
        for _ in range(5):
            self._ask("cars", speed(10, 11))
            self._ask("iris_logistic", IRIS)
            self._ask("faq", {"question": "how do I stop the server?"})
            self._ask("digits", {"rows": [self._digit]})
            self._ask("petals", IRIS)
            self._client.post("/endpoints/flowers/invocations", json={"dataframe_records": IRIS["rows"]})

    def _badly(self) -> None:
        self._ask("cars", {"rows": []})
        self._ask("cars", speed(101))
        self._ask("cars", speed(102), headers={"x-request-timeout-ms": "300"})
        self._ask("cars", speed(1001 + self.rounds))  # always another: what has ended two workers is refused
        self._ask("cars", speed(10), headers={"authorization": "Bearer nonsense"})
        many = {"dataframe_records": IRIS["rows"] * LARGE_ROWS}
        self._client.post("/endpoints/flowers/invocations", json=many)
        with socket.create_connection(("127.0.0.1", self._front.port), timeout=10) as s:
            s.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nlong: " + b"x" * 100_000)
            s.recv(1000)

    def _crowd(self) -> None:
        """More connections than may be open; the last ones ask for something."""
        with ExitStack() as stack:
            for _ in range(2 * MAX_CONNECTIONS):
                s = stack.enter_context(socket.create_connection(("127.0.0.1", self._front.port), timeout=10))
                s.sendall(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
            eventually(lambda: self._front.metric("tandem_edge_refusals_total", code="too_many_connections") > 0)

    def _ask(self, model: str, body: object, **more: Any) -> None:
        reply = self._client.post(f"/v1/models/{model}/score", json=body, **more)
        self.codes.add("ok" if reply.status_code == 200 else reply.json()["code"])


def speed(*speeds: int) -> dict[str, Any]:
    return {"rows": [{"speed": one} for one in speeds]}


@contextmanager
def observed(folder: Path) -> Iterator[tuple[Prometheus, Traffic, tuple[Tandem, ...]]]:
    """Everything runs, each outcome has been met in several rounds, and the traffic goes on."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        shared = _accounts(folder)
        gpu = Tandem(folder / "gpu", torch_threads=1, **shared)
        lost = Tandem(folder / "lost", **shared)
        front = Tandem(
            folder / "front",
            remotes=f"gpu={gpu.url},lost={lost.url}",
            queue_max=4,
            max_connections=MAX_CONNECTIONS,
            model_signatures="warn",
            signature_key=_public_key(folder),
            identity=_identity(folder, stack.enter_context(closing(Provider())).url),
            endpoints=_endpoints(folder),
            **shared,
        )
        _models(front, gpu, lost)
        for server in (gpu, lost, front):
            stack.callback(_stop, server.start(wait=False))
        for server in (gpu, lost, front):
            eventually(server.ready, 60)
        eventually(lambda: front.model("digits") and front.model("petals") and front.version("broken", "failed"))
        scrapes = [
            _scrape("tandem", front.metrics_port, "tandem-0"),
            _scrape("tandem-gpu", gpu.metrics_port, "tandem-gpu-0"),
            _scrape("elsewhere", stack.enter_context(_stand_in(folder)), "tandem-gpu-0"),
        ]
        prometheus = stack.enter_context(Prometheus(folder, scrapes).running())
        traffic = stack.enter_context(Traffic(front, lost))
        eventually(lambda: traffic.rounds >= ROUNDS, 60)
        yield prometheus, traffic, (front, gpu)


def _accounts(folder: Path) -> dict[str, Path]:
    """Files that all servers share."""
    accounts, key = folder / "accounts", folder / "token.key"
    for file in (accounts, key):
        file.touch(0o600)
    done = Tandem(folder / "hash").command("users", "hash", "admin", "--role", "admin", text=secrets.token_hex())
    assert done.returncode == 0, done.stderr
    accounts.write_text(done.stdout)
    key.write_text(secrets.token_urlsafe(48))
    return {"accounts": accounts, "token_key": key}


def _identity(folder: Path, issuer: str) -> Path:
    file = folder / "identity.toml"
    file.touch(0o600)
    file.write_text(IDENTITY.format(issuer=issuer))
    return file


def _endpoints(folder: Path) -> Path:
    made = folder / "endpoints"
    made.mkdir()
    for name, definition in yaml.safe_load(ENDPOINTS).items():
        (made / f"{name}.yml").write_text(yaml.safe_dump(definition))
    return made


def _public_key(folder: Path) -> Path:
    """No model is signed by it."""
    private, public = folder / "private.pem", folder / "public.pem"
    for command in (
        ["openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", str(private)],
        ["openssl", "ec", "-in", str(private), "-pubout", "-out", str(public)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return public


def _models(front: Tandem, gpu: Tandem, lost: Tandem) -> None:
    examples = ROOT / "python_models"
    front.drop("cars", CARS)
    (front.r_models / "broken.rds").write_bytes(b"this is no model")
    shutil.copytree(examples / "faq", front.python_models / "faq")
    for name, server, other in (("iris_logistic", front, "iris_logistic"), ("iris_logistic", lost, "petals")):
        shutil.copy(examples / f"{name}.joblib", server.python_models / f"{other}.joblib")
    (front.python_models / "lilies" / "1").mkdir(parents=True)
    shutil.copy(examples / "iris_logistic.joblib", front.python_models / "lilies" / "1" / "model.joblib")
    for name in ("digits.pt2", "digits.yaml"):
        shutil.copy(examples / name, gpu.python_models / name)


def _stop(server: Tandem) -> None:
    if server.process is not None and server.process.poll() is None:
        server.stop()


def _scrape(job: str, port: int, pod: str) -> dict[str, Any]:
    """As a PodMonitor has it: what is scraped is labelled with its namespace and pod, which its own labels overrule."""
    target = {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "tandem", "pod": pod}}
    return {"job_name": job, "honor_labels": True, "static_configs": [target]}


@contextmanager
def _stand_in(folder: Path) -> Iterator[int]:
    """What is not to be had here; the port where it is served."""
    metrics = SupervisorMetrics(folder)
    metrics.gpu_memory.labels("0").set(2**30)
    metrics.gpu_utilization.labels("0").set(0.5)
    text = generate_latest(metrics.registry.restricted_registry(NEEDS_A_GPU)).decode() + ELSEWHERE

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
