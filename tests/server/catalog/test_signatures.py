"""Signed models: what a signature covers, what is refused, and that what was verified is what is read."""

from __future__ import annotations

import base64
import errno
import gc
import json
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from server.catalog import private_copy
from server.catalog.beneath import Unopened
from server.catalog.files import Candidate, ModelFile, Signed, candidate_at, identify
from server.catalog.parts import signature_of
from server.catalog.signatures import VERIFIED, BadKeys, SignError, Wanted, identifier, sign, trusted_keys
from tests.harness.tandem import Tandem, eventually, parent_of
from tests.harness.wheels import wheel


def no_password() -> str:
    raise AssertionError("asked for a password")


def make_key(folder: Path, name: str, curve: ec.EllipticCurve | None = None, password: str | None = None) -> Path:
    """The file of a new private key; the public one is `<name>.pem` in `public` beside it."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    locked = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    private = folder / f"{name}-private.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked),
    )
    (folder / "public").mkdir(exist_ok=True)
    (folder / "public" / f"{name}.pem").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the private keys of two who are trusted, and of one who is not."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder, "team")
    make_key(folder, "boss", ec.SECP384R1())
    make_key(folder, "stranger")
    (folder / "public" / "stranger.pem").unlink()
    return folder


class Desk:
    """Signs model files as their authors do, and examines them as the supervisor does."""

    def __init__(self, folder: Path, keys: Path, demand: Wanted = "require") -> None:
        self.folder = folder / "models"
        self.run_dir = folder / "run"
        self.run_dir.mkdir()
        self.keys = keys
        self.outcomes: list[str] = []
        trusted = trusted_keys(demand, keys / "public")
        self.identify = identifier(demand, trusted, self.run_dir, self.outcomes.append)

    def write(self, name: str, content: str = "content") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def bare(self) -> Path:
        self.write("churn.yaml", "description: churn")
        return self.write("churn.rds", "a model")

    def version(self) -> Path:
        self.write("churn/3/model.yaml", "description: churn")
        return self.write("churn/3/model.rds", "a model")

    def script(self) -> Path:
        for name in ("model.yaml", "requirements.txt", "data/words.txt", ".gitignore"):
            self.write(f"faq/{name}", f"content of {name}")
        return self.write("faq/score.py", "def init(): pass")

    def sign(self, path: Path, by: str = "team") -> Path:
        return sign(path, self.keys / f"{by}-private.pem", no_password)[0]

    def look(self, path: Path) -> ModelFile:
        return self.identify(candidate(path))

    def signed(self, path: Path) -> Signed:
        found = self.look(path).signed
        assert found is not None
        return found

    def copies(self) -> list[Path]:
        gc.collect()
        return list((self.run_dir / VERIFIED).iterdir())


def candidate(path: Path) -> Candidate:
    found = candidate_at(path)
    assert found is not None
    return found


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def desk(tmp_path: Path, keys: Path) -> Desk:
    return Desk(tmp_path, keys)


FORMS: dict[str, Callable[[Desk], Path]] = {"bare": Desk.bare, "version": Desk.version, "script": Desk.script}
form = pytest.mark.parametrize("form", FORMS)


# Links


@pytest.mark.parametrize("demand", ["warn", "require"])
@pytest.mark.parametrize("link", ["faq/notes.txt", "faq/score.py.sig", "faq/requirements.txt"])
def test_what_a_link_leads_to_outside_of_the_model_folder_is_never_copied(
    tmp_path: Path, keys: Path, demand: str, link: str
) -> None:
    """The copy is what the script reads, which may not read the file itself."""
    desk = Desk(tmp_path, keys, demand)
    path = desk.script()
    (tmp_path / "signing.key").write_text("the key")
    (desk.folder / link).unlink(missing_ok=True)
    (desk.folder / link).symlink_to(tmp_path / "signing.key")
    with pytest.raises(Unopened, match=f"{Path(link).name} is a link that leads out of the model folder"):
        desk.look(path)
    assert desk.copies() == []
    if not link.endswith(".sig"):
        with pytest.raises(SignError, match="leads out of the model folder"):
            desk.sign(path)


def test_a_link_inside_of_the_model_folder_is_copied_as_what_it_leads_to(desk: Desk) -> None:
    path = desk.script()
    (desk.folder / "faq" / "notes.txt").symlink_to("data/words.txt")
    desk.sign(path)
    assert (desk.look(path).content.parent / "notes.txt").read_text() == "content of data/words.txt"


# What a signature covers


@form
@pytest.mark.parametrize("by", ["team", "boss"])
def test_a_signed_model_is_verified_whoever_of_the_trusted_signed_it(desk: Desk, form: str, by: str) -> None:
    path = FORMS[form](desk)
    desk.sign(path, by)
    assert desk.signed(path) == Signed("verified", f"{by}.pem")
    assert desk.outcomes == ["verified"]


@form
def test_signing_a_folder_signs_the_model_in_it(desk: Desk, form: str) -> None:
    path = FORMS[form](desk)
    if form != "bare":
        assert desk.sign(path.parent) == signature_of(path)
        assert desk.signed(path).outcome == "verified"


def test_a_folder_of_several_models_is_not_signed_as_one(desk: Desk) -> None:
    desk.bare()
    assert candidate_at(desk.folder) is None


@form
def test_an_unsigned_model_is_refused_with_what_to_do(desk: Desk, form: str) -> None:
    path = FORMS[form](desk)
    found = desk.signed(path)
    assert (found.outcome, found.refused) == ("unsigned", True)
    assert f"`tandem sign {path.name} --key PRIVATE.pem`" in found.text
    assert str(desk.folder) not in found.text


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("bare", "churn.rds"),
        ("bare", "churn.yaml"),
        ("version", "churn/3/model.rds"),
        ("version", "churn/3/model.yaml"),
        ("script", "faq/score.py"),
        ("script", "faq/model.yaml"),
        ("script", "faq/requirements.txt"),
        ("script", "faq/data/words.txt"),
        ("script", "faq/.gitignore"),
    ],
)
def test_a_flipped_bit_or_a_lost_file_breaks_the_signature(desk: Desk, form: str, part: str) -> None:
    path = FORMS[form](desk)
    desk.sign(path)
    whole = (desk.folder / part).read_bytes()
    flip(desk.folder / part)
    found = desk.signed(path)
    assert (found.outcome, found.refused) == ("bad_signature", True)
    assert found.text.startswith("the model, its sidecar or a file beside it is not what was signed. Sign it with")
    if desk.folder / part != path:
        (desk.folder / part).unlink()
        assert desk.signed(path).outcome == "bad_signature"
    (desk.folder / part).write_bytes(whole)
    assert desk.signed(path).outcome == "verified"


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("bare", "plain.yaml"),
        ("script", "faq/json.py"),
        ("script", "faq/.git/config"),
        ("script", "faq/data/score.py.sig"),
    ],
)
def test_a_file_that_comes_later_breaks_the_signature(desk: Desk, form: str, part: str) -> None:
    path = desk.script() if form == "script" else desk.write("plain.rds", "a model")
    desk.sign(path)
    assert desk.signed(path).outcome == "verified"
    desk.write(part)
    assert desk.signed(path).outcome == "bad_signature"


def test_neighbours_of_a_bare_file_are_no_part_of_it(desk: Desk) -> None:
    path = desk.bare()
    desk.sign(path)
    desk.write("other.rds")
    assert desk.signed(path).outcome == "verified"


def test_what_a_signature_says_to_ignore_is_not_ignored(desk: Desk, keys: Path) -> None:
    """The stock command leaves out what Git has, and whatever it is told to."""
    path = desk.script()
    stock(desk, "sign", "key", "faq", "--private_key", str(keys / "team-private.pem"), *("--ignore-paths", "faq/data"))
    shutil.move(desk.folder / "model.sig", signature_of(path))
    assert desk.signed(path).outcome == "bad_signature"
    shutil.rmtree(desk.folder / "faq" / "data")
    assert desk.signed(path).outcome == "bad_signature"
    (desk.folder / "faq" / ".gitignore").unlink()
    assert desk.signed(path).outcome == "verified"


# Signatures that are none


def test_a_strangers_signature_is_refused(desk: Desk) -> None:
    path = desk.bare()
    desk.sign(path, "stranger")
    found = desk.signed(path)
    assert (found.outcome, found.refused) == ("bad_signature", True)
    assert "not made with a key that this server trusts" in found.text


def test_the_signature_of_another_model_is_refused(desk: Desk) -> None:
    path, other = desk.bare(), desk.write("other.rds", "another model")
    shutil.copy(desk.sign(other), signature_of(path))
    assert desk.signed(path).outcome == "bad_signature"


def test_a_signed_bare_file_under_another_name_is_refused(desk: Desk) -> None:
    path = desk.write("cheap.rds")
    signature = desk.sign(path)
    other = desk.folder / "dear.rds"
    shutil.copy(path, other)
    shutil.copy(signature, signature_of(other))
    assert desk.signed(other).outcome == "bad_signature"


def _bundle(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    def change(bundle: dict[str, Any]) -> bytes:
        for where, value in changes.items():
            *above, last = where.split("__")
            place = bundle
            for name in above:
                place = place[name]
            place[last] = value
        return json.dumps(bundle).encode()

    return change


def _strangers_payload(bundle: dict[str, Any]) -> bytes:
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"][0]["digest"] = "00" * 32
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    return json.dumps(bundle).encode()


@pytest.mark.parametrize(
    "damage",
    {
        "empty": lambda bundle: b"",
        "not text": lambda bundle: b"\xff\xfe\x00",
        "a list": lambda bundle: b"[]",
        "deep": lambda bundle: b"[" * 200_000,
        "cut off": lambda bundle: json.dumps(bundle).encode()[:-20],
        "huge": lambda bundle: json.dumps(bundle).encode() + b" " * (16 << 20),
        "another payload": _strangers_payload,
        "no signature": _bundle(dsseEnvelope__signatures=[]),
        "a wrong signature": _bundle(dsseEnvelope__signatures=[{"sig": "AAAA"}]),
        "no payload": _bundle(dsseEnvelope__payload=""),
        "no envelope": _bundle(dsseEnvelope=None),
        "another envelope": _bundle(dsseEnvelope={}, messageSignature={}),
        "no key named": _bundle(verificationMaterial__publicKey={}),
        "a key that is no text": _bundle(verificationMaterial__publicKey={"hint": ["x"]}),
        "another kind": _bundle(mediaType="text/plain"),
    }.items(),
    ids=lambda case: case[0],
)
def test_a_damaged_signature_is_refused(desk: Desk, damage: tuple[str, Callable[[dict[str, Any]], bytes]]) -> None:
    path = desk.bare()
    signature = desk.sign(path)
    signature.write_bytes(damage[1](json.loads(signature.read_bytes())))
    found = desk.signed(path)
    assert (found.outcome, found.refused) == ("bad_signature", True)


def test_a_pipe_for_a_signature_holds_nobody_up(desk: Desk) -> None:
    path = desk.bare()
    os.mkfifo(signature_of(path))
    assert desk.signed(path).outcome == "unsigned"


def test_a_file_whose_name_is_not_text_can_be_neither_signed_nor_smuggled_in(desk: Desk) -> None:
    path = desk.script()
    desk.sign(path)
    odd = Path(os.fsdecode(os.fsencode(path.parent) + b"/\xff.py"))
    odd.touch()
    assert desk.signed(path).outcome == "bad_signature"
    with pytest.raises(SignError, match="not text"):
        desk.sign(path)


# The private copy


@form
def test_what_was_verified_is_what_is_read(desk: Desk, form: str) -> None:
    path = FORMS[form](desk)
    desk.sign(path)
    before = {name: part.read_bytes() for name, part in candidate(path).parts.items()}
    file = desk.look(path)
    for part in candidate(path).parts.values():
        part.write_text("something else")
    assert file.copy is not None
    copied = {str(p.relative_to(file.copy.folder)): p.read_bytes() for p in file.copy.folder.rglob("*") if p.is_file()}
    assert copied == before
    assert file.content.read_bytes() == before[path.name]
    assert file.sidecar.read_bytes() == before["model.yaml" if form != "bare" else "churn.yaml"]
    assert file.path == path.absolute()


@form
def test_a_copy_is_named_as_the_file_would_be(desk: Desk, form: str) -> None:
    path = FORMS[form](desk)
    plain = identify(candidate(path))
    desk.sign(path)
    file = desk.look(path)
    assert (file.name, file.version, file.path, file.size_bytes) == (
        plain.name,
        plain.version,
        plain.path,
        plain.size_bytes,
    )


def test_another_signature_of_the_same_model_is_something_to_look_at(desk: Desk) -> None:
    path = desk.bare()
    unsigned = desk.look(path)
    desk.sign(path, "team")
    by_team = desk.look(path)
    desk.sign(path, "boss")
    by_boss = desk.look(path)
    assert len({unsigned.model_key, by_team.model_key, by_boss.model_key}) == 3
    assert len({unsigned.version, by_team.version, by_boss.version}) == 1


def test_the_copy_is_nobody_elses_and_read_only(desk: Desk) -> None:
    path = desk.script()
    path.chmod(0o777)
    desk.sign(path)
    file = desk.look(path)
    assert file.copy is not None
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in file.copy.folder.rglob("*")}
    assert (modes["score.py"], modes["model.yaml"]) == (0o500, 0o400)
    assert stat.S_IMODE(file.copy.folder.parent.stat().st_mode) == 0o700


def test_a_copy_lives_as_long_as_its_model_and_touching_makes_no_other(desk: Desk) -> None:
    path = desk.bare()
    desk.sign(path)
    first = desk.look(path)
    os.utime(path, (1e9, 1e9))
    second = desk.look(path)
    assert len(desk.copies()) == 1
    assert first.content == second.content
    del first
    assert len(desk.copies()) == 1
    assert second.content.exists()
    del second
    assert desk.copies() == []


@form
def test_of_a_refused_model_nothing_is_left_to_read(desk: Desk, form: str) -> None:
    path = FORMS[form](desk)
    file = desk.look(path)
    assert desk.copies() == []
    assert not file.content.exists()
    assert not file.sidecar.exists()


def test_a_full_disk_refuses_the_model_and_says_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = desk.bare()
    desk.sign(path)
    with monkeypatch.context() as patch:
        patch.setattr(private_copy, "_copy", full)
        found = desk.signed(path)
    assert (found.outcome, found.refused) == ("no_room", True)
    assert "TMPDIR" in found.text
    assert desk.copies() == []
    assert desk.signed(path).outcome == "verified"


@form
def test_where_signatures_are_only_wanted_a_model_without_one_serves(tmp_path: Path, keys: Path, form: str) -> None:
    desk = Desk(tmp_path, keys, "warn")
    path = FORMS[form](desk)
    file = desk.look(path)
    assert file.signed is not None
    assert (file.signed.outcome, file.signed.refused) == ("unsigned", False)
    assert file.content.read_bytes() == path.read_bytes()
    desk.sign(path)
    flip(path)
    assert (desk.signed(path).outcome, desk.signed(path).refused) == ("bad_signature", False)


def test_with_signatures_off_nothing_is_copied_or_looked_at(tmp_path: Path, keys: Path) -> None:
    desk = Desk(tmp_path, keys, "off")
    path = desk.bare()
    before = desk.look(path)
    desk.sign(path)
    assert desk.look(path) == before
    assert before.content == path
    assert (before.signed, before.copy) == (None, None)
    assert list(desk.run_dir.iterdir()) == []


def test_a_supervisor_that_wants_no_signatures_does_not_import_the_library() -> None:
    check = "import sys, server.supervisor.main; print('model_signing' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "False"


# Commands


def stock(desk: Desk, *arguments: str) -> int:
    """Run the library's own command."""
    command = [sys.executable, "-m", "model_signing", *arguments]
    return subprocess.run(command, cwd=desk.folder, capture_output=True, timeout=60).returncode


def test_the_stock_command_verifies_what_tandem_signs(desk: Desk, keys: Path) -> None:
    path = desk.bare()
    desk.sign(path)
    desk.write("other.rds")
    verify = ("verify", "key", ".", "--signature", "churn.rds.sig", "--ignore_unsigned_files", "--public_key")
    assert stock(desk, *verify, str(keys / "public" / "team.pem")) == 0
    assert stock(desk, *verify, str(keys / "public" / "boss.pem")) != 0
    flip(path)
    assert stock(desk, *verify, str(keys / "public" / "team.pem")) != 0


def test_tandem_sign_asks_for_the_password_of_a_protected_key(tmp_path: Path) -> None:
    locked = make_key(tmp_path, "locked", password="open sesame")
    desk = Desk(tmp_path, tmp_path)
    path = desk.bare()
    done = Tandem(tmp_path).command("sign", str(path), "--key", str(locked), text="wrong\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"tandem: {locked} is not a private key (PEM) that this password opens\n"
    assert not signature_of(path).exists()
    done = Tandem(tmp_path).command("sign", str(path), "--key", str(locked), text="open sesame\n")
    assert (done.returncode, done.stdout) == (0, f"{path}.sig: signs churn.rds, churn.yaml\n")
    assert desk.signed(path) == Signed("verified", "locked.pem")


def _rsa(folder: Path) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    private = folder / "rsa-private.pem"
    how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *how))
    (folder / "rsa.pem").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private


@pytest.mark.parametrize(
    ("what", "by", "words"),
    [
        ("none.rds", "team-private.pem", "not a model file"),
        ("churn.yaml", "team-private.pem", "not a model file"),
        ("churn.rds", "none.pem", "cannot be read"),
        ("churn.rds", "public/team.pem", "is not a private key"),
        ("churn.rds", "rsa-private.pem", "openssl ecparam"),
    ],
)
def test_what_cannot_sign_or_be_signed_is_told(desk: Desk, what: str, by: str, words: str) -> None:
    desk.bare()
    _rsa(desk.keys)
    with pytest.raises(SignError, match=words):
        sign(desk.folder / what, desk.keys / by, no_password)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "TANDEM_SIGNATURE_KEY must name the public key"),
        ("none.pem", "cannot be read"),
        ("models", "there is no .pem file"),
        ("team-private.pem", "is not a public key"),
        ("rsa.pem", "P-256, P-384 or P-521"),
    ],
)
def test_what_cannot_verify_is_told(desk: Desk, key: str | None, words: str) -> None:
    desk.bare()
    _rsa(desk.keys)
    (desk.keys / "models").mkdir(exist_ok=True)
    with pytest.raises(BadKeys, match=words):
        trusted_keys("warn", key and desk.keys / key)


def test_a_server_without_a_key_does_not_start(tmp_path: Path) -> None:
    done = Tandem(tmp_path, model_signatures="require").command("serve")
    assert done.returncode == 3
    assert done.stderr.startswith("tandem: TANDEM_SIGNATURE_KEY must name the public key")


# A server that requires signatures. Its sandbox is off: what is not read needs none.

MARKING = """
from pathlib import Path
Path({marker!r}).touch()

def init(): pass

def run(raw_data): return "ran"
"""
SHADE = """
import json, shade
from pathlib import Path

def init():
    global words
    words = (Path(__file__).parent / "data" / "words.txt").read_text()

def run(raw_data):
    return [shade.VERSION, words]
"""
SPEED = {"rows": [{"speed": 10}]}


class _Marking:
    """A pickle that writes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self._marker,)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Tandem]:
    tandem = Tandem(
        tmp_path_factory.mktemp("signed"),
        model_signatures="require",
        signature_key=keys / "public",
        sandbox="off",
        r_workers=1,
        python_workers=1,
    )
    tandem.drop("cars", "lm(dist ~ speed, cars)")
    sign(tandem.r_models / "cars.rds", keys / "team-private.pem", no_password)
    tandem.start()
    yield tandem
    assert tandem.stop() == 0


def refused(server: Tandem, name: str) -> str:
    version = eventually(lambda: server.version(name, "failed"))
    code: str = version["code"]
    return code


def scored(server: Tandem, name: str, body: object = SPEED) -> Any:
    def reply() -> Any:
        answer = server.score(name, body)
        return answer.json() if answer.status_code == 200 else None

    return eventually(reply)


def test_a_signed_model_serves_and_is_counted(server: Tandem) -> None:
    assert server.score("cars", SPEED).status_code == 200
    assert server.metric("tandem_model_signatures_total", outcome="verified") >= 1
    eventually(lambda: any(line["message"] == "signature verified" for line in server.log_lines()))


def test_hostile_files_without_a_signature_are_never_read(server: Tandem, keys: Path, tmp_path: Path) -> None:
    """Each would leave a mark, and does so as soon as somebody has signed it."""
    markers = {name: tmp_path / f"{name}-ran" for name in ("pickle", "function", "script")}
    (server.python_models / "pickle.pkl").write_bytes(pickle.dumps(_Marking(markers["pickle"])))
    server.drop("function", f"function(data) {{ file.create('{markers['function']}'); data[[1]] }}")
    (server.r_models / "function.yaml").write_text(
        "schema: {inputs: [{name: a, type: numeric}]}\ngolden: [{row: {a: 1}, response: 1}]"
    )
    script = server.python_models / "script"
    script.mkdir()
    (script / "requirements.txt").write_text("--no-index\nnothing-of-this-name==1\n")
    (script / "score.py").write_text(MARKING.format(marker=str(markers["script"])))
    paths = {
        "pickle": server.python_models / "pickle.pkl",
        "function": server.r_models / "function.rds",
        "script": script / "score.py",
    }
    assert {refused(server, name) for name in markers} == {"unsigned"}
    assert not any(marker.exists() for marker in markers.values())
    assert not (server.folder / "data" / "environments").exists()
    assert server.metric("tandem_model_signatures_total", outcome="unsigned") >= 3
    (script / "requirements.txt").unlink()
    for path in paths.values():
        sign(path, keys / "team-private.pem", no_password)
    eventually(lambda: all(marker.exists() for marker in markers.values()))
    shutil.rmtree(script)
    for name in ("pickle", "function"):
        paths[name].unlink()
    eventually(lambda: not any(server.model(name) for name in markers))


def test_a_model_serves_as_soon_as_its_signature_comes(server: Tandem, keys: Path) -> None:
    server.drop("late", "lm(dist ~ speed, cars)")
    assert refused(server, "late") == "unsigned"
    sign(server.r_models / "late.rds", keys / "boss-private.pem", no_password)
    scored(server, "late")
    assert server.version("late", "failed") is None


def test_what_takes_a_signed_models_place_is_not_read_while_the_old_one_serves(server: Tandem) -> None:
    """Neither at once nor by a template that has to read everything again."""
    answer = scored(server, "cars")["predictions"]
    path = server.r_models / "cars.rds"
    good = path.read_bytes()
    server.drop("cars", "lm(dist ~ I(speed^3), cars)")
    assert refused(server, "cars") == "bad_signature"
    workers = server.processes("worker")
    for pid in server.processes("template"):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.metric("tandem_worker_restarts_total", runtime="r", reason="template") >= 1)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.metric("tandem_worker_restarts_total", runtime="r", reason="crashed") >= 1)
    assert scored(server, "cars")["predictions"] == answer
    path.write_bytes(good)
    eventually(lambda: server.version("cars", "failed") is None)


def test_a_signed_script_has_the_requirements_that_were_signed_with_it(
    server: Tandem, keys: Path, tmp_path: Path
) -> None:
    made = tmp_path / "shaded"
    (made / "data").mkdir(parents=True)
    (made / "data" / "words.txt").write_text("ours")
    (made / "requirements.txt").write_text(f"--no-index\n./{wheel(made, 'shade', '1.0')}\n")
    (made / "score.py").write_text(SHADE)
    sign(made, keys / "team-private.pem", no_password)
    folder = server.python_models / "shaded"
    shutil.copytree(made, folder)
    assert scored(server, "shaded", {}) == ["1.0", "ours"]
    (folder / "data" / "words.txt").write_text("theirs")
    assert refused(server, "shaded") == "bad_signature"
    ready = [line for line in server.log_lines() if line["message"] == "template ready"]
    template = [line["pid"] for line in ready if line["pool"].startswith("script")][-1]
    [pid] = [pid for pid in server.processes("worker") if parent_of(pid) == template]
    before = server.metric("tandem_worker_restarts_total", runtime="script", reason="crashed")
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.metric("tandem_worker_restarts_total", runtime="script", reason="crashed") > before)
    assert scored(server, "shaded", {}) == ["1.0", "ours"]
    shutil.rmtree(folder)
    eventually(lambda: server.model("shaded") == {})


def test_tandem_check_tells_of_the_signature(server: Tandem) -> None:
    told = server.command("check", str(server.r_models / "cars.rds"))
    assert (told.returncode, "signed   by the key team.pem" in told.stdout) == (0, True), told.stdout
    unsigned = server.r_models / "cars.copy.rds"
    shutil.copy(server.r_models / "cars.rds", unsigned)
    told = server.command("check", str(unsigned))
    assert (told.returncode, "would be refused (unsigned)" in told.stdout) == (1, True), told.stdout
    lenient = Tandem(server.folder / "lenient", model_signatures="warn", sandbox="on")  # which lets copies be read
    lenient.environment["TANDEM_SIGNATURE_KEY"] = server.environment["TANDEM_SIGNATURE_KEY"]
    told = lenient.command("check", str(unsigned))
    assert (told.returncode, "warning  the model is not signed" in told.stdout) == (0, True), told.stdout
    unsigned.unlink()
