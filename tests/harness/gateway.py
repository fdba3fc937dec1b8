"""nginx in the place of the Gateway controller, with a configuration made from the manifests and nothing else.

Listeners, hostnames, paths, redirects, time limits and backends are those of the Gateway and its HTTPRoutes, with the
Gateway API's own precedence; so a wrong manifest is a wrong answer here. What this stand-in does not understand raises
`Unsupported` and is never left out in silence. What the manifests cannot say is given by the test: ports to listen on,
addresses of the pods behind each Service, and the Secrets with certificates.

Where nginx has a choice it is told to do as Envoy does in the class `approuting-istio`: bodies of any size, streamed
both ways; connections to pods kept for an hour; another pod is tried only where the first was not reached; the caller's
address is appended to X-Forwarded-For; X-Envoy-Expected-Rq-Timeout-Ms says how long the route waits; a listener whose
certificate is missing does not listen.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.harness.tandem import eventually, free_port
from tests.k8s.rendered import Manifest, of_kind
from tests.k8s.tls import Certificate

_NAME_LABEL = "kubernetes.io/metadata.name"
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class Unsupported(Exception):
    """A manifest says something that this stand-in cannot do."""


@dataclass(frozen=True)
class Wired:
    """What is around the Gateway: its ports by listener, addresses by Service, certificates by Secret."""

    ports: Mapping[str, int]
    pods: Mapping[str, Sequence[str]]
    secrets: Mapping[str, Certificate]


class Gateway:
    """A running nginx. Its folder is its own; it listens on loopback, on a port for each listener."""

    def __init__(self, folder: Path, manifests: Iterable[Manifest]) -> None:
        self._folder = folder
        self._manifests = list(manifests)
        self._ports = {listener["name"]: free_port() for listener in _gateway(self._manifests)["spec"]["listeners"]}
        self._pods: dict[str, list[str]] = {}
        self._secrets: dict[str, Certificate] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def set(
        self,
        manifests: Iterable[Manifest] | None = None,
        pods: Mapping[str, Sequence[str]] | None = None,
        secrets: Mapping[str, Certificate] | None = None,
    ) -> Gateway:
        """Change the manifests, or pods or certificates by name; in force when this returns."""
        if manifests is not None:
            self._manifests = list(manifests)
        self._pods |= {name: list(addresses) for name, addresses in (pods or {}).items()}
        self._secrets |= secrets or {}
        self._write()
        if self._process is not None:
            self._reload(self._process.pid)
        return self

    def start(self) -> Gateway:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write()
        self._process = subprocess.Popen(["nginx", *self._arguments], stdin=subprocess.DEVNULL)
        eventually(lambda: self._workers(self._pid))
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(20) == 0, self.log()
            self._process = None

    def log(self) -> str:
        return (self._folder / "error.log").read_text()

    def port(self, listener: str) -> int:
        return self._ports[listener]

    @property
    def secure(self) -> Manifest:
        """The listener with a name and a certificate."""
        (found,) = [each for each in _gateway(self._manifests)["spec"]["listeners"] if each["protocol"] == "HTTPS"]
        return found

    @property
    def host(self) -> str:
        """The name that callers use."""
        return str(self.secure["hostname"])

    @property
    def secret(self) -> str:
        """Of the Secret with the certificate."""
        return str(self.secure["tls"]["certificateRefs"][0]["name"])

    def client(
        self, host: str, trust: ssl.SSLContext | None = None, address: str = "127.0.0.2", timeout_s: float = 60
    ) -> httpx.Client:
        """A caller of `host` from `address`: by TLS where it is said whom to trust, else in the clear."""

        def name_the_host(request: httpx.Request) -> None:
            request.extensions["sni_hostname"] = host

        listener = "http" if trust is None else "https"
        return httpx.Client(
            base_url=f"{listener}://127.0.0.1:{self._ports[listener]}",
            headers={"host": host},
            transport=httpx.HTTPTransport(verify=trust or True, local_address=address),
            event_hooks={"request": [name_the_host]},
            timeout=timeout_s,
        )

    @property
    def _pid(self) -> int:
        assert self._process is not None and self._process.poll() is None, self.log()
        return self._process.pid

    @property
    def _arguments(self) -> list[str]:
        return ["-p", str(self._folder), "-c", str(self._folder / "nginx.conf"), "-e", str(self._folder / "error.log")]

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        text = configuration(self._manifests, Wired(self._ports, self._pods, self._secrets))
        (self._folder / "nginx.conf").write_text(text)
        tested = subprocess.run(["nginx", "-t", *self._arguments], capture_output=True, text=True, timeout=20)
        assert tested.returncode == 0, tested.stderr

    def _reload(self, pid: int) -> None:
        before = self._workers(pid)
        os.kill(pid, signal.SIGHUP)
        eventually(lambda: self._workers(pid) and not before & self._workers(pid))

    def _workers(self, pid: int) -> set[int]:
        """The workers that take connections: one with the old configuration calls itself `shutting down`."""
        found = set()
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            try:
                title = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:  # it has just left
                continue
            if title.startswith(b"nginx: worker process") and b"shutting down" not in title:
                found.add(int(child))
        return found


# The configuration


@dataclass(frozen=True)
class _Match:
    """One match of one rule: what the Gateway API's precedence is about."""

    exact: bool
    path: str
    rule: Manifest
    namespace: str
    created: str
    name: str

    @property
    def precedence(self) -> tuple[bool, int, str, str]:
        return (not self.exact, -len(self.path), self.created, self.name)


def configuration(manifests: Sequence[Manifest], wired: Wired) -> str:
    """What nginx is to do, for the one Gateway in `manifests`."""
    gateway = _gateway(manifests)
    routes = of_kind(manifests, "HTTPRoute")
    servers = [
        server
        for listener in gateway["spec"]["listeners"]
        for server in _listener(gateway, listener, routes, manifests, wired)
    ]
    groups = [_upstream(name, addresses) for name, addresses in wired.pods.items() if addresses]
    return _MAIN.format(
        user="user root;" if os.geteuid() == 0 else "", groups="".join(groups), servers="".join(servers)
    )


_MAIN = """{user}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  default_type text/plain;
  server_tokens off;
  absolute_redirect off;
  client_max_body_size 0;
  keepalive_timeout 1h;
  keepalive_requests 1000000;
  proxy_read_timeout 1h;
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_next_upstream error;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Envoy-Expected-Rq-Timeout-Ms $expected_ms;
{groups}{servers}}}
"""


def _upstream(service: str, addresses: Sequence[str]) -> str:
    lines = "".join(f"    server {address} max_fails=0;\n" for address in addresses)
    return f"""  upstream {service} {{
{lines}    keepalive 64;
    keepalive_timeout 1h;
    keepalive_requests 1000000;
  }}
"""


def _listener(
    gateway: Manifest, listener: Manifest, routes: Sequence[Manifest], manifests: Sequence[Manifest], wired: Wired
) -> list[str]:
    """The servers of a listener: one for each hostname, and one that refuses all others."""
    listen = f"listen 127.0.0.1:{wired.ports[listener['name']]}"
    tls, refuse = "", "return 404;"
    if listener["protocol"] == "HTTPS":
        certificate = _certificate(listener, wired)
        if certificate is None:
            return []
        listen += " ssl http2"
        tls = (
            f"    ssl_certificate {certificate.chain};\n    ssl_certificate_key {certificate.key};\n"
            "    ssl_protocols TLSv1.2 TLSv1.3;\n"
        )
        refuse = "ssl_reject_handshake on;"
    elif listener["protocol"] != "HTTP":
        raise Unsupported(f"protocol {listener['protocol']}")

    hosts: dict[str, list[_Match]] = {}
    for route in routes:
        if _admits(gateway, listener, route):
            for host in _hosts(listener, route):
                hosts.setdefault(host, []).extend(_matches(route))
    servers = [
        f"  server {{\n    {listen};\n    server_name {host};\n{tls}{_locations(matches, manifests, wired)}  }}\n"
        for host, matches in hosts.items()
        if host != "*"
    ]
    if "*" in hosts:
        refuse = tls + _locations(hosts["*"], manifests, wired)
    # The variable must be known to nginx even where no route sets it.
    servers.append(f'  server {{\n    {listen} default_server;\n    set $expected_ms "";\n    {refuse}\n  }}\n')
    return servers


def _certificate(listener: Manifest, wired: Wired) -> Certificate | None:
    if listener["tls"].get("mode", "Terminate") != "Terminate":
        raise Unsupported("TLS that ends behind the Gateway")
    (reference,) = listener["tls"]["certificateRefs"]
    return wired.secrets.get(reference["name"])


def _admits(gateway: Manifest, listener: Manifest, route: Manifest) -> bool:
    """Whether the route asks for this listener, and the listener takes routes from the route's namespace."""
    home, away = gateway["metadata"]["namespace"], route["metadata"]["namespace"]
    return _admits_namespace(listener, home, away) and any(
        parent.get("kind", "Gateway") == "Gateway"
        and parent["name"] == gateway["metadata"]["name"]
        and parent.get("namespace", away) == home
        and parent.get("sectionName", listener["name"]) == listener["name"]
        and parent.get("port", listener["port"]) == listener["port"]
        for parent in route["spec"]["parentRefs"]
    )


def _admits_namespace(listener: Manifest, home: str, away: str) -> bool:
    allowed = listener.get("allowedRoutes", {}).get("namespaces", {})
    where = allowed.get("from", "Same")
    if where == "Selector":  # by the one label that every namespace has without being given it
        if list(allowed["selector"]) != ["matchLabels"] or list(allowed["selector"]["matchLabels"]) != [_NAME_LABEL]:
            raise Unsupported(f"a selector of namespaces {allowed['selector']}")
        return bool(allowed["selector"]["matchLabels"][_NAME_LABEL] == away)
    if where not in ("Same", "All"):
        raise Unsupported(f"allowedRoutes from {where}")
    return where == "All" or home == away


def _hosts(listener: Manifest, route: Manifest) -> list[str]:
    """Names that both have; of a wildcard and a name, the name."""
    theirs, ours = route["spec"].get("hostnames") or ["*"], listener.get("hostname", "*")
    return [host if _covers(ours, host) else ours for host in theirs if _covers(ours, host) or _covers(host, ours)]


def _covers(wide: str, narrow: str) -> bool:
    return wide in ("*", narrow) or (wide.startswith("*.") and narrow.endswith(wide[1:]))


def _matches(route: Manifest) -> list[_Match]:
    found = []
    for rule in route["spec"]["rules"]:
        for match in rule.get("matches") or [{}]:
            if set(match) - {"path"}:
                raise Unsupported(f"a match by {sorted(set(match) - {'path'})}")
            path = match.get("path", {})
            kind = path.get("type", "PathPrefix")
            if kind not in ("Exact", "PathPrefix"):
                raise Unsupported(f"a path of type {kind}")
            meta = route["metadata"]
            name = f"{meta['namespace']}/{meta['name']}"
            created = meta.get("creationTimestamp", "")  # what was rendered is older than what a controller adds
            found.append(_Match(kind == "Exact", path.get("value", "/"), rule, meta["namespace"], created, name))
    return found


def _locations(matches: Sequence[_Match], manifests: Sequence[Manifest], wired: Wired) -> str:
    """nginx takes an exact path first, then the longest prefix, as the Gateway API does; of equals the first wins."""
    found: dict[str, str] = {}
    for match in sorted(matches, key=lambda match: match.precedence):
        does = _does(match, manifests, wired)
        if match.exact:
            found.setdefault(f"= {match.path}", does)
        elif match.path == "/":
            found.setdefault("/", does)
        else:  # a prefix ends where a part of the path ends: /v1 is not the beginning of /v1x
            path = match.path.rstrip("/")
            found.setdefault(f"= {path}", does)
            found.setdefault(f"{path}/", does)
    found.setdefault("/", "return 404;")
    return "".join(f"    location {path} {{ {does} }}\n" for path, does in found.items())


def _does(match: _Match, manifests: Sequence[Manifest], wired: Wired) -> str:
    filters = match.rule.get("filters", [])
    if not filters:
        return _forward(match, manifests, wired)
    if [each["type"] for each in filters] != ["RequestRedirect"]:
        raise Unsupported(f"filters {[each['type'] for each in filters]}")
    return _redirect(filters[0]["requestRedirect"])


def _redirect(wanted: Manifest) -> str:
    if set(wanted) - {"scheme", "hostname", "port", "statusCode"}:
        raise Unsupported(f"a redirect with {sorted(wanted)}")
    host = wanted.get("hostname", "$host") + (f":{wanted['port']}" if wanted.get("port") not in (None, 443) else "")
    return f"return {wanted.get('statusCode', 302)} {wanted.get('scheme', '$scheme')}://{host}$request_uri;"


def _forward(match: _Match, manifests: Sequence[Manifest], wired: Wired) -> str:
    if len(match.rule.get("backendRefs", [])) != 1:
        raise Unsupported("other than one backend")
    (backend,) = match.rule["backendRefs"]
    if backend.get("namespace", match.namespace) != match.namespace:
        raise Unsupported("a backend of another namespace")
    if not _has_service(manifests, match.namespace, backend["name"], backend["port"]):
        return "return 500;"  # what the Gateway API asks for where a backend does not exist
    if not wired.pods.get(backend["name"]):
        return "return 503;"
    limits = match.rule.get("timeouts", {})
    if set(limits) - {"request"}:
        raise Unsupported(f"timeouts {sorted(limits)}")
    ms = round(seconds(limits["request"]) * 1000) if "request" in limits else ""
    waits = f"proxy_read_timeout {ms}ms; proxy_send_timeout {ms}ms; " if ms else ""
    return f'set $expected_ms "{ms}"; {waits}proxy_pass http://{backend["name"]};'


def _has_service(manifests: Sequence[Manifest], namespace: str, name: str, port: int) -> bool:
    return any(
        manifest["kind"] == "Service"
        and (manifest["metadata"]["namespace"], manifest["metadata"]["name"]) == (namespace, name)
        and port in [given["port"] for given in manifest["spec"]["ports"]]
        for manifest in manifests
    )


def seconds(duration: str) -> float:
    """A duration of the Gateway API (GEP-2257), such as 1m30s."""
    parts = re.findall(r"(\d+)(h|ms|m|s)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise Unsupported(f"a duration {duration}")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def _gateway(manifests: Iterable[Manifest]) -> Manifest:
    (gateway,) = of_kind(manifests, "Gateway")
    return gateway


def reaches(port: int) -> bool:
    """Whether anything listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
