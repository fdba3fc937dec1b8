"""A real ACME client gets a certificate from a real ACME server through the gateway that the manifests describe.

pebble is Let's Encrypt's own test server, certbot the client. What cert-manager would do between the two is done here:
`CertManager` adds the HTTPRoute that answers the challenge, in the shape that cert-manager gives it
(`generateHTTPRouteSpec` in its pkg/issuer/acme/http/httproute.go), by what the Gateway and the ClusterIssuer say.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from tests.harness.gateway import Gateway, reaches
from tests.harness.tandem import eventually, free_port
from tests.k8s.rendered import Manifest, of_kind, one, render
from tests.k8s.tls import Authority, Certificate

pytestmark = pytest.mark.ship

_SOLVER_PORT = 8089  # acmeSolverListenPort of cert-manager
_CHALLENGES = "/.well-known/acme-challenge/"


class CertManager:
    """As much of cert-manager as an HTTP-01 challenge needs. certbot's hooks post what it is to present."""

    def __init__(self, manifests: list[Manifest], gateway: Gateway) -> None:
        self._manifests = manifests
        self._gateway = gateway
        self._keys: dict[tuple[str, str], str] = {}
        self.redirects: list[str] = []
        """Where another path was sent while a challenge was presented."""

    def present(self, host: str, token: str, key: str) -> None:
        self._keys[host, token] = key
        self._gateway.set([*self._manifests, *self._challenge(host, token)])
        with self._gateway.client(host) as client:
            self.redirects.append(client.get("/docs").headers.get("location", ""))

    def clean_up(self) -> None:
        self._keys.clear()
        self._gateway.set(self._manifests)

    def answer(self, host: str, path: str) -> str | None:
        """What the solver's pod answers; it knows its host and its token only."""
        return self._keys.get((host, path.removeprefix(_CHALLENGES))) if path.startswith(_CHALLENGES) else None

    @contextmanager
    def running(self) -> Iterator[str]:
        """The solver's server; the address that the hooks post to."""
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                key = manager.answer(self.headers["host"].partition(":")[0], self.path)
                self._reply(404 if key is None else 200, (key or "").encode())

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                if self.path == "/present":
                    manager.present(form["host"][0], form["token"][0], form["key"][0])
                else:
                    manager.clean_up()
                self._reply(200, b"")

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self._gateway.set(pods={"cm-acme-http-solver": [f"127.0.0.1:{server.server_port}"]})
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _challenge(self, host: str, token: str) -> list[Manifest]:
        """The route and the Service of the solver's pod, in the Gateway's namespace, where the Certificate is."""
        (gateway,) = of_kind(self._manifests, "Gateway")
        named = gateway["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]
        issuer = one(self._manifests, "ClusterIssuer", named)
        (solver,) = issuer["spec"]["acme"]["solvers"]
        meta = {
            "name": "cm-acme-http-solver",
            "namespace": gateway["metadata"]["namespace"],
            "creationTimestamp": "2026-11-21T12:00:00Z",
        }
        spec = {
            "parentRefs": solver["http01"]["gatewayHTTPRoute"]["parentRefs"],
            "hostnames": [host],
            "rules": [
                {
                    "matches": [{"path": {"type": "Exact", "value": _CHALLENGES + token}}],
                    "backendRefs": [{"kind": "Service", "name": meta["name"], "port": _SOLVER_PORT, "weight": 1}],
                }
            ],
        }
        service = {"kind": "Service", "metadata": meta, "spec": {"ports": [{"port": _SOLVER_PORT}]}}
        return [{"kind": "HTTPRoute", "metadata": meta, "spec": spec}, service]


class Acme:
    """pebble, with a DNS of its own in which every name is this machine."""

    def __init__(self, folder: Path, authority: Authority, gateway: Gateway) -> None:
        self._folder = folder
        self._authority = authority
        self._port, self._management = free_port(), free_port()
        dns, dns_management = free_port(), free_port()
        own = authority.issue("127.0.0.1")
        config = {
            "listenAddress": f"127.0.0.1:{self._port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(own.chain),
            "privateKey": str(own.key),
            "httpPort": gateway.port("http"),  # where the authority asks; 80 on the internet
            "tlsPort": gateway.port("https"),
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
        names = f"-dns01 127.0.0.1:{dns} -management 127.0.0.1:{dns_management} -defaultIPv4 127.0.0.1"
        off = ["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]
        # No wait before it asks, and no refusals and reuse at random: it does all that on purpose.
        quick = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        self.log = (folder / "pebble.log").open("wb+")
        commands = [
            ["pebble-challtestsrv", *names.split(), *off],
            ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}", "-strict"],
        ]
        self._processes = [
            subprocess.Popen(command, stdout=self.log, stderr=self.log, env=os.environ | quick) for command in commands
        ]
        eventually(lambda: reaches(self._port) and reaches(self._management) and reaches(dns))

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(20)
        self.log.close()

    def certificate(self, host: str, hooks: str) -> Certificate:
        """Have certbot get one; its hooks post to `hooks`. Raises CalledProcessError, with certbot's words."""
        folder = self._folder / "certbot"
        present = (
            f"curl -sSf -d host=$CERTBOT_DOMAIN -d token=$CERTBOT_TOKEN -d key=$CERTBOT_VALIDATION {hooks}/present"
        )
        options = {f"{kind}-dir": folder / kind for kind in ("config", "work", "logs")} | {
            "server": f"https://127.0.0.1:{self._port}/dir",
            "domain": host,
            "preferred-challenges": "http",
            "manual-auth-hook": present,
            "manual-cleanup-hook": f"curl -sSf -d x=1 {hooks}/clean-up",
        }
        flags = ["--non-interactive", "--agree-tos", "--register-unsafely-without-email", "--manual"]
        subprocess.run(
            ["certbot", "certonly", *flags, *(f"--{name}={value}" for name, value in options.items())],
            env=os.environ | {"REQUESTS_CA_BUNDLE": str(self._authority.path)},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
        live = folder / "config" / "live" / host
        return Certificate(live / "fullchain.pem", live / "privkey.pem")

    def trusted(self) -> ssl.SSLContext:
        """A client that trusts what this authority issues. Its root is a new one each time it starts."""
        address = f"https://127.0.0.1:{self._management}/roots/0"
        return ssl.create_default_context(cadata=httpx.get(address, verify=self._authority.trusted()).text)


@pytest.fixture
def manifests() -> list[Manifest]:
    return render("aks")


@pytest.fixture
def gateway(tmp_path: Path, manifests: list[Manifest]) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path / "gateway", manifests).start()
    yield gateway
    gateway.stop()


@pytest.fixture
def acme(tmp_path: Path, gateway: Gateway) -> Iterator[Acme]:
    acme = Acme(tmp_path, Authority(tmp_path / "ca"), gateway)
    yield acme
    acme.stop()


def test_a_challenge_passes_and_its_certificate_is_served(
    manifests: list[Manifest], gateway: Gateway, acme: Acme
) -> None:
    manager = CertManager(manifests, gateway)
    assert not reaches(gateway.port("https"))  # without a certificate there is no listener: nothing to redirect to
    with manager.running() as hooks:
        gateway.set(secrets={gateway.secret: acme.certificate(gateway.host, hooks)})

    assert manager.redirects == [f"https://{gateway.host}/docs"]
    with (
        closing(socket.create_connection(("127.0.0.1", gateway.port("https")))) as plain,
        acme.trusted().wrap_socket(plain, server_hostname=gateway.host) as secure,
    ):
        assert secure.getpeercert()["subjectAltName"] == (("DNS", gateway.host),)
    with gateway.client(gateway.host) as client:
        assert client.get(_CHALLENGES + "another").status_code == 301


def _solver_on_the_wrong_listener(manifests: list[Manifest]) -> None:
    for issuer in of_kind(manifests, "ClusterIssuer"):
        for parent in issuer["spec"]["acme"]["solvers"][0]["http01"]["gatewayHTTPRoute"]["parentRefs"]:
            parent["sectionName"] = "https"


def _listener_for_another_host(manifests: list[Manifest]) -> None:
    for listener in of_kind(manifests, "Gateway")[0]["spec"]["listeners"]:
        if listener["name"] == "http":
            listener["hostname"] = "www.example.org"


@pytest.mark.parametrize("fault", [_solver_on_the_wrong_listener, _listener_for_another_host])
def test_a_route_that_shadows_the_challenge_is_found(
    fault: Callable[[list[Manifest]], None], manifests: list[Manifest], gateway: Gateway, acme: Acme
) -> None:
    fault(manifests)
    gateway.set(manifests)
    manager = CertManager(manifests, gateway)
    with manager.running() as hooks, pytest.raises(subprocess.CalledProcessError) as failed:
        acme.certificate(gateway.host, hooks)
    assert "Some challenges have failed" in failed.value.stderr
