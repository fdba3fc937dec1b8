"""The scripts of k8s/aks, from an empty subscription to the first score, against an az that only remembers.

No Azure: `az`, `kubectl`, `helm` and `kubelogin` are fakes that write down how they are called. The fake az knows what
has been made, says 3 to a `show` of what has not, and refuses to make a thing twice, as the real one would in its own
ways. Whether the real az takes the commands is k8s/aks/parse_az.py's to say.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from ast import literal_eval
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import kubernetes_validate
import pytest
import yaml

pytestmark = pytest.mark.ship

ROOT = Path(__file__).resolve().parents[2]
AKS = ROOT / "k8s/aks"
STEPS = sorted(path.name for path in AKS.glob("[0-9]-*.sh"))
MUST = STEPS[:6] + STEPS[7:8]
"""Those that need neither a password nor a GPU."""
SAFE_AGAIN = {"role assignment create", "deployment group create", "keyvault secret set"}
"""What Azure itself creates or updates: az answers with what is there."""
ACCOUNTS = "ann:analyst:$argon2id$v=19$m=65536,t=3,p=4$not$real\n"

FAKE = r"""
import os, sys
from os.path import exists, join

tool, *words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
state = os.environ["FAKE"]
with open(join(state, "calls"), "a") as calls:
    calls.write(repr([tool, *words]) + "\n")

first = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
command, options, option = " ".join(words[:first]), {}, ""
for word in words[first:]:
    if word.startswith("--"):
        option = word
        options.setdefault(option, "")
    else:
        options[option] = (options[option] + " " + word).strip()

def end(code, text=""):
    print(text, file=sys.stderr if code else sys.stdout)
    sys.exit(code)

def copy(source, target):
    with open(source) as read, open(target, "w") as written:
        written.write(read.read())

def thing(*names):
    return join(state, "things", "_".join(names).replace("/", "_").replace(" ", "-"))

if tool != "az":
    end(0, "20.1.2.3" if "gateway" in words else "")
with open(join(state, "broken")) as broken:
    if command in broken.read():
        end(1, "AuthorizationFailed")

kind, _, verb = command.rpartition(" ")
parts = "--name --record-set-name --vault-name --cluster-name --identity-name --storage-account --image".split()
name = [options[part] for part in parts if part in options]
it = thing(kind, *name)
if verb == "show" and kind not in ("account", "ad signed-in-user") and not exists(it):
    end(3, "ResourceNotFound")
if verb in ("create", "add", "recover", "add-record", "set") and kind not in ("extension", "account"):
    if exists(it) and command not in os.environ["SAFE_AGAIN"].split(","):
        end(1, f"{it} exists")
    open(it, "w").close()
things = os.listdir(join(state, "things"))
if command == "network dns record-set a list" and not any(name.startswith("network-dns") for name in things):
    end(0)
if command == "keyvault list-deleted" and not any(name.endswith(".deleted") for name in things):
    end(0)
if command == "keyvault secret set":
    copy(options["--file"], it + ".value")
if command == "keyvault secret download":
    copy(it + ".value", options["--file"])
if command == "acr run":
    if not exists(join(words[-1], options["--file"])) or exists(join(words[-1], ".dockerignore")):
        end(1, "the task is not in the context")
    target, revision = (words[words.index("--set") + n].split("=")[1] for n in (1, 3))
    open(thing("acr repository", options["--registry"], f"tandem-{target}:{revision}"), "w").close()

query = options.get("--query", "")
if query == "id" or query.endswith("].id"):
    types = {"monitor account": "microsoft.monitor/accounts", "grafana": "Microsoft.Dashboard/grafana"}
    of = types.get(kind, "Microsoft.Any/" + kind.replace(" ", "-"))
    end(0, f"/subscriptions/{'0' * 8}/resourceGroups/tandem/providers/{of}/{'-'.join(name) or 'one'}")
answers = {
    'tags."made-by"': "" if exists(join(state, "foreign")) else "tandem-aks",
    "loginServer": "tandem.azurecr.io",
    "digest": "sha256:" + 64 * "a",
    "clientId": "11111111-2222-3333-4444-555555555555",
    "tenantId": "66666666-7777-8888-9999-000000000000",
    "metrics.prometheusQueryEndpoint": "https://tandem.prometheus.monitor.azure.com",
    "[?name=='score'].ARecords[].ipv4Address": "20.1.2.3",
}
end(0, answers.get(query, query))
"""


class Cloud:
    """A folder that holds a subscription, a checkout whose scripts are run, and what was called."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "cloud"
        self.checkout = folder / "checkout"
        self.aks = self.checkout / "k8s/aks"
        self.environment = {
            "PATH": f"{folder / 'tools'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "FAKE": str(self.state),
            "SAFE_AGAIN": ",".join(SAFE_AGAIN),
            "AKS_EMAIL": "ops@example.com",
            "AKS_UNIQUE": "abc123",
        }

    @classmethod
    def empty(cls, folder: Path) -> Cloud:
        cloud = cls(folder)
        (cloud.state / "things").mkdir(parents=True)
        (cloud.state / "broken").touch()
        ignored = shutil.ignore_patterns(".mypy_cache", "__pycache__", "kubeconfig", "deploy", "local.sh", "accounts")
        shutil.copytree(ROOT / "k8s", cloud.checkout / "k8s", ignore=ignored)
        (cloud.checkout / ".dockerignore").write_text("*\n")
        models = cloud.checkout / "r_models"
        models.mkdir()
        (models / "mpg.rds").write_bytes(b"R")
        (models / "mpg.yaml").write_text("inputs: {}\n")
        (cloud.aks / "accounts").write_text(ACCOUNTS)
        git = ["git", "-C", str(cloud.checkout), "-c", "user.name=t", "-c", "user.email=t@localhost"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            subprocess.run([*git, *command], check=True)
        tools = folder / "tools"
        tools.mkdir()
        (tools / "az").write_text(f"#!{sys.executable} -IS\n{FAKE}")
        (tools / "az").chmod(0o755)
        for tool in ("kubectl", "helm", "kubelogin", "docker"):
            (tools / tool).symlink_to("az")
        return cloud

    def copy(self, folder: Path) -> Cloud:
        shutil.copytree(self.state.parent, folder, symlinks=True, dirs_exist_ok=True)
        return Cloud(folder)

    def run(self, script: str, *arguments: str, stdin: str = "", ok: bool = True, **settings: str) -> str:
        """What the script says. `settings` are settings.sh's, without prefix, in lower case."""
        environment = self.environment | {f"AKS_{name.upper()}": value for name, value in settings.items()}
        done = subprocess.run(
            [self.aks / script, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def calls_of(self, tool: str) -> list[list[str]]:
        """The arguments of each of its calls so far."""
        calls = self.state / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [words[1:] for words in map(literal_eval, lines) if words[0] == tool]

    def calls(self) -> list[list[str]]:
        """Those of az; the next time, only new ones."""
        calls = self.calls_of("az")
        (self.state / "calls").unlink(missing_ok=True)
        return calls

    def secret(self, name: str) -> str:
        [value] = (self.state / "things").glob(f"keyvault-secret_{name}_*.value")
        return value.read_text()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    return Cloud.empty(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def cloud(template: Cloud, tmp_path: Path) -> Cloud:
    """An empty subscription."""
    return template.copy(tmp_path)


@pytest.fixture(scope="module")
def finished(template: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    cloud = template.copy(tmp_path_factory.mktemp("deployed"))
    for step in MUST:
        cloud.run(step)
    return cloud


@pytest.fixture
def deployed(finished: Cloud, tmp_path: Path) -> Cloud:
    """A subscription after all the steps that have to be; what was called for it is still to be read."""
    return finished.copy(tmp_path)


def command(words: list[str]) -> str:
    return " ".join(words).split(" -")[0]


def made(calls: list[list[str]]) -> list[str]:
    """Commands that make something which may be made once."""
    verbs = ("create", "add", "recover", "add-record", "run", "set")
    again = SAFE_AGAIN - {"keyvault secret set"} | {"extension add"}
    return [c for c in map(command, calls) if c.split()[-1] in verbs and c not in again]


def test_from_an_empty_subscription_every_step_runs_to_its_end(deployed: Cloud) -> None:
    wanted = """group create, acr create, monitor account create, grafana create, aks create, aks nodepool add,
        storage account create, storage container-rm create, keyvault create, identity create,
        identity federated-credential create, identity federated-credential create, keyvault secret set,
        keyvault secret set, acr run, monitor action-group create"""
    assert made(deployed.calls()) == [" ".join(c.split()) for c in wanted.split(",")]


def test_a_second_run_makes_nothing_again(deployed: Cloud) -> None:
    deployed.run("9-gpu.sh")
    deployed.calls()
    for step in [*MUST[:4], "8-monitoring.sh", "9-gpu.sh"]:  # the last runs 5 and 6
        deployed.run(step)
    assert made(deployed.calls()) == []


def test_a_step_that_fails_is_not_taken_for_one_that_found_nothing(cloud: Cloud) -> None:
    (cloud.state / "broken").write_text("acr show\n")
    assert "AuthorizationFailed" in cloud.run("1-cluster.sh", ok=False)
    assert made(cloud.calls()) == ["group create"]


def test_the_cluster_has_what_the_manifests_need(deployed: Cloud) -> None:
    settings = (ROOT / "k8s/components/gateway/settings.env").read_text()
    trusted = re.findall("^TANDEM_TRUSTED_PROXIES=(.*)$", settings, re.MULTILINE)[0]
    [create] = [" ".join(words) for words in deployed.calls() if command(words) == "aks create"]
    for option in (
        "--enable-gateway-api --enable-app-routing-istio",
        "--enable-oidc-issuer --enable-workload-identity",
        "--network-dataplane cilium --network-policy cilium",
        "--enable-keda",
        "--enable-blob-driver",
        "--enable-addons azure-keyvault-secrets-provider --enable-secret-rotation",
        "--enable-azure-monitor-metrics",
        "--zones 1 2 3",
        "--attach-acr tandemabc123",
        f"--pod-cidr {trusted} ",
    ):
        assert option in create


def test_a_region_without_zones_is_asked_for_none(cloud: Cloud) -> None:
    cloud.run("1-cluster.sh", zones="")
    assert "--zones" not in json.dumps(cloud.calls())


def test_pods_may_read_models_and_secrets_and_write_neither(deployed: Cloud) -> None:
    calls = deployed.calls()
    grants = [dict(zip(words[3::2], words[4::2], strict=True)) for words in calls if words[0] == "role"]
    pods = {grant["--role"]: grant["--scope"] for grant in grants if "ServicePrincipal" in grant.values()}
    assert pods.keys() == {"Storage Blob Data Reader", "Key Vault Secrets User", "Monitoring Data Reader"}
    assert pods["Storage Blob Data Reader"].endswith("/containers/models")
    trusted = {words[words.index("--subject") + 1] for words in calls if "--subject" in words}
    assert trusted == {"system:serviceaccount:tandem:tandem", "system:serviceaccount:kube-system:keda-operator"}
    [account] = [" ".join(words) for words in calls if command(words) == "storage account create"]
    assert "--allow-shared-key-access false" in account and "--allow-blob-public-access false" in account


def test_a_deleted_vault_is_recovered_with_its_secrets(deployed: Cloud) -> None:
    vault = deployed.state / "things/keyvault_tandem-abc123"
    vault.rename(vault.with_suffix(".deleted"))
    deployed.calls()
    deployed.run("2-storage.sh")
    assert made(deployed.calls()) == ["keyvault recover"]


def test_secrets_are_neither_shown_nor_on_a_command_line(cloud: Cloud) -> None:
    said = cloud.run("3-secrets.sh") + cloud.run("rotate-key.sh", "add")
    calls = json.dumps(cloud.calls())
    assert cloud.secret("accounts") == ACCOUNTS
    for secret in ["argon2id", *cloud.secret("token-key").split()]:
        assert len(secret) > 7 and secret not in said and secret not in calls


def test_accounts_are_uploaded_when_they_changed_and_the_key_never_again(cloud: Cloud) -> None:
    cloud.run("3-secrets.sh")
    key = cloud.secret("token-key")
    cloud.calls()
    cloud.run("3-secrets.sh")
    assert made(cloud.calls()) == []
    (cloud.aks / "accounts").write_text(ACCOUNTS * 2)
    cloud.run("3-secrets.sh")
    assert made(cloud.calls()) == ["keyvault secret set"]
    assert (cloud.secret("accounts"), cloud.secret("token-key")) == (ACCOUNTS * 2, key)


def test_the_address_of_a_database_takes_the_place_of_accounts_and_is_shown_as_little(cloud: Cloud) -> None:
    (cloud.aks / "accounts").unlink()
    (cloud.aks / "database.url").write_text("postgresql://tandem:horse-battery@db/tandem")
    said = cloud.run("3-secrets.sh")
    calls = cloud.calls()
    assert made(calls) == ["keyvault secret set", "keyvault secret set"]
    assert cloud.secret("database-url") == "postgresql://tandem:horse-battery@db/tandem"
    assert "horse-battery" not in said + json.dumps(calls)


def test_without_an_account_the_vault_gets_nothing(cloud: Cloud) -> None:
    (cloud.aks / "accounts").unlink()
    assert "tandem users hash" in cloud.run("3-secrets.sh", ok=False)
    assert made(cloud.calls()) == []


def test_a_key_is_replaced_in_three_steps_and_in_no_other_order(cloud: Cloud) -> None:
    cloud.run("3-secrets.sh")
    [old] = cloud.secret("token-key").split()
    cloud.run("rotate-key.sh", "swap", ok=False)
    cloud.run("rotate-key.sh", "drop", ok=False)
    cloud.run("rotate-key.sh", "add")
    cloud.run("rotate-key.sh", "add", ok=False)
    first, new = cloud.secret("token-key").split()
    assert first == old and len(new) >= 32
    cloud.run("rotate-key.sh", "swap")
    assert cloud.secret("token-key").split() == [new, old]
    cloud.run("rotate-key.sh", "drop")
    assert cloud.secret("token-key").split() == [new]


def test_a_models_sidecar_goes_up_before_it(cloud: Cloud) -> None:
    cloud.run("4-models.sh")
    cloud.run("4-models.sh", "--gpu", str(cloud.checkout / "r_models"))
    names = [words[words.index("--name") + 1] for words in cloud.calls() if "--name" in words]
    assert names == ["r/mpg.yaml", "r/mpg.rds"]
    cloud.run("4-models.sh", "--gpu", str(cloud.checkout / "r_models"))
    assert cloud.calls()[-1][-1] == "gpu/python/r_models"


def test_the_values_of_the_overlay_are_all_filled_in(deployed: Cloud) -> None:
    def values(checkout: Path) -> dict[str, str]:
        lines = (checkout / "k8s/overlays/aks/values.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    before, after = values(ROOT), values(deployed.checkout)
    assert before.keys() == after.keys()
    assert [key for key in after if after[key] == before[key]] == ["CONTAINER"]  # both say models
    assert after["HOST"] == "tandem-abc123.westeurope.cloudapp.azure.com"


@pytest.mark.parametrize("gpu", [False, True], ids=["aks", "aks-gpu"])
def test_what_is_applied_has_the_values_and_the_images_of_the_commit(deployed: Cloud, gpu: bool) -> None:
    if gpu:
        deployed.run("9-gpu.sh")
    build = ["kubectl", "kustomize", deployed.aks / "deploy"]
    built = subprocess.run(build, capture_output=True, text=True, check=True)
    objects = [o for o in yaml.safe_load_all(built.stdout) if o]
    images = [o["spec"]["template"]["spec"]["containers"][0]["image"] for o in objects if o["kind"] == "Deployment"]
    digest = "sha256:" + 64 * "a"
    wanted = ["cpu", "gpu"] if gpu else ["cpu"]
    assert sorted(images) == [f"tandem.azurecr.io/tandem-{target}@{digest}" for target in wanted]
    assert "example.com" not in built.stdout.replace("ops@example.com", "")
    calls = [" ".join(words) for words in deployed.calls_of("kubectl")]
    assert re.search("apply --kustomize .*/k8s/aks/deploy$", "\n".join(calls), re.MULTILINE)
    assert (f"--namespace tandem rollout status deployment/tandem{'-gpu' * gpu} --timeout 20m") in calls


def test_a_commit_without_an_image_is_not_deployed(deployed: Cloud) -> None:
    git = ["git", "-C", str(deployed.checkout), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "next"], check=True)
    (deployed.state / "calls").unlink()
    assert "run 5-images.sh" in deployed.run("6-deploy.sh", ok=False)
    assert not any("--kustomize" in words for words in deployed.calls_of("kubectl"))


def test_the_gateway_looked_for_is_the_one_of_the_manifests() -> None:
    script = (AKS / "6-deploy.sh").read_text()
    gateway = yaml.safe_load((ROOT / "k8s/components/gateway/gateway.yaml").read_text())["metadata"]
    assert f"kubectl --namespace {gateway['namespace']} wait gateway/{gateway['name']} " in script
    assert f"kubectl --namespace {gateway['namespace']} wait certificate " in script


def test_a_name_of_ones_own_gets_its_record_once(deployed: Cloud) -> None:
    names = {"host": "score.example.com", "dns_zone": "example.com", "dns_group": "names"}
    for _ in range(2):
        deployed.run("6-deploy.sh", **names)
    [record] = [" ".join(words) for words in deployed.calls() if "add-record" in words]
    assert "--record-set-name score --ipv4-address 20.1.2.3" in record
    assert "score.example.com is 20.1.2.3" in deployed.run("6-deploy.sh", host="score.example.com")


class Scoring(BaseHTTPRequestHandler):
    """Answers as Tandem would if the password and the token arrive as they should."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/auth/token":
            good = parse_qs(body) == {"grant_type": ["password"], "username": ["ann"], "password": ["p&ss wörd"]}
            answer: dict[str, Any] = {"access_token": "t.o.ken", "token_type": "bearer"}
        else:
            good = self.path == "/v1/models/mpg/score" and self.headers["Authorization"] == "Bearer t.o.ken"
            answer = {"model": "mpg", "predictions": [21.6 if json.loads(body)["rows"] else None]}
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(json.dumps(answer if good else {"code": "unauthenticated"}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def scoring(cloud: Cloud, tmp_path: Path) -> Iterator[str]:
    """A server with a certificate that curl trusts; its name and port."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {key} -out {certificate}"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    subprocess.run([*make.split(), *subject], check=True, capture_output=True)
    cloud.environment["CURL_CA_BUNDLE"] = str(certificate)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scoring)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"localhost:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_first_row_is_scored_and_no_process_list_shows_the_password(cloud: Cloud, scoring: str) -> None:
    curl = Path(cloud.environment["PATH"].split(":")[0]) / "curl"
    curl.write_text(f'#!/bin/sh\necho "$@" >>"$FAKE/curl"\nexec {shutil.which("curl")} "$@"\n')
    curl.chmod(0o755)
    said = cloud.run("7-score.sh", "ann", stdin="p&ss wörd\n", host=scoring)
    assert json.loads(said)["predictions"] == [21.6]
    shown = (cloud.state / "curl").read_text()
    assert "wörd" not in shown and "t.o.ken" not in shown
    assert "401" in cloud.run("7-score.sh", "ann", stdin="wrong", host=scoring, ok=False)


def test_teardown_asks_and_deletes_the_group_of_the_settings_only(cloud: Cloud) -> None:
    cloud.run("1-cluster.sh", group="mine")
    cloud.calls()
    cloud.run("teardown.sh", stdin="yes\n", group="mine", ok=False)
    cloud.run("teardown.sh", group="mine", ok=False)
    assert "delete" not in json.dumps(cloud.calls())
    cloud.run("teardown.sh", stdin="mine\n", group="mine")
    deleted = [words for words in cloud.calls() if "delete" in words or "purge" in words]
    assert deleted == [["group", "delete", "--name", "mine", "--yes"]]
    cloud.run("teardown.sh", "--yes", group="mine")
    assert ["group", "delete", "--name", "mine", "--yes"] in cloud.calls()


def test_teardown_leaves_a_group_that_it_did_not_make(cloud: Cloud) -> None:
    cloud.run("1-cluster.sh")
    (cloud.state / "foreign").touch()
    assert "Nothing is deleted" in cloud.run("teardown.sh", "--yes", ok=False)
    assert ["group", "delete"] not in [words[:2] for words in cloud.calls()]


def test_each_step_of_the_readme_has_a_script_a_check_and_a_cost() -> None:
    text = (AKS / "README.md").read_text()
    parts = re.split(r"^## (?=\d\. )", text, flags=re.MULTILINE)[1:]
    steps = [re.split(r"^## ", part, flags=re.MULTILINE)[0] for part in parts]
    assert [step[:2] for step in steps] == [f"{n}." for n in range(len(STEPS) + 1)]  # step 0 makes nothing yet
    for step, script in zip(steps[1:], STEPS, strict=True):
        assert f"k8s/aks/{script}" in step
    for step in steps:
        assert "```sh\n" in step, step
        for part in ("**Check**", "**Cost**", "**What can go wrong**"):
            assert part in step, (part, step)
    scripts = {path.name for path in AKS.glob("*.sh")} - {"common.sh"}
    assert {name for name in scripts if f"{name}" not in text} == set()
    named = set(re.findall(r"k8s/aks/([\w.-]+\.(?:sh|py|yaml))", text)) - {"local.sh"}
    assert all((AKS / name).exists() for name in named)


def test_scripts_are_executable_and_shellcheck_has_nothing_to_say() -> None:
    scripts = sorted(AKS.glob("*.sh"))
    checked = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", "-x", *scripts], cwd=AKS, capture_output=True, text=True
    )
    assert checked.stdout == ""
    for script in scripts:
        sourced = script.name in ("common.sh", "settings.sh")
        assert os.access(script, os.X_OK) != sourced and script.read_text().startswith("#!") != sourced


@pytest.mark.parametrize("version", ["1.34", "1.35", "1.36"])
def test_the_device_plugin_is_a_daemonset_on_gpu_nodes(version: str) -> None:
    plugin = yaml.safe_load((AKS / "device-plugin.yaml").read_text())
    kubernetes_validate.validate(plugin, version, strict=True)
    script = (AKS / "9-gpu.sh").read_text()
    pod = plugin["spec"]["template"]["spec"]
    [toleration] = pod["tolerations"]
    assert "--node-taints {key}={value}:{effect}".format(**toleration) in script
    assert "--labels sku={sku}".format(**pod["nodeSelector"]) in script


def main() -> None:
    """Print every az command that the scripts run, for k8s/aks/parse_az.py."""
    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud.empty(Path(folder))
        for step in [*MUST, "9-gpu.sh"]:
            cloud.run(step)
        cloud.run("6-deploy.sh", host="score.example.com", dns_zone="example.com", dns_group="names")
        for image in (cloud.state / "things").glob("acr-repository*"):
            image.unlink()
        cloud.run("5-images.sh", builder="docker")
        cloud.run("4-models.sh", str(ROOT / "python_models/train"))
        cloud.run("rotate-key.sh", "add")
        cloud.run("teardown.sh", "--yes")
        vault = cloud.state / "things/keyvault_tandem-abc123"
        vault.rename(vault.with_suffix(".deleted"))
        cloud.run("2-storage.sh")
        for words in cloud.calls():
            sys.stdout.write(json.dumps(words) + "\n")


if __name__ == "__main__":
    main()
