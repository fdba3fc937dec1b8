"""Signed models: making signatures and verifying them, in OpenSSF's model-signing format with elliptic-curve keys.

A signature covers the model file and its sidecar, or everything in a script's folder: one byte more, less or other, and
it is not the signature of that model. What is verified is a private copy, and the copy is what is read from then on.
Only this file imports model_signing, and only where it is wanted: it brings a good deal along.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast
from weakref import WeakValueDictionary

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.catalog.files import Candidate, ModelFile, Signed, candidate_at, identify
from server.catalog.parts import signature_of
from server.catalog.private_copy import PrivateCopy

if TYPE_CHECKING:
    from model_signing.hashing import Config as HashingConfig

log = logging.getLogger(__name__)

VERIFIED = "verified"
"""The folder, in the run folder, of the private copies."""
CURVES = ("secp256r1", "secp384r1", "secp521r1")
MAX_SIGNATURE_BYTES = 16 << 20
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

Wanted = Literal["off", "warn", "require"]
"""Whether signatures count: not at all, with a warning where one is missing, or for everything that is served."""
Keys = Mapping[str, tuple[str, bytes]]
"""Public keys, each with the name of its file, by what a signature calls it: the SHA-256 of its PEM text."""


class SignError(Exception):
    """A model cannot be signed; the text says why."""


class BadKeys(Exception):
    """The setting names no public key that signatures can be checked by; the text says why."""


class BadSignature(Exception):
    """A signature is not one of these files by one of our keys; the text says what to do."""


def trusted_keys(wanted: Wanted, path: Path | None) -> Keys:
    """The keys that may sign models: of that file or folder; none where signatures do not count. Raises BadKeys."""
    return {} if wanted == "off" else _public_keys(path)


def identifier(
    wanted: Wanted, keys: Keys, run_dir: Path, on_signature: Callable[[str], None]
) -> Callable[[Candidate], ModelFile]:
    """What makes model files of candidates: where signatures count, by way of a copy that was looked at.

    `on_signature` is told the outcome of each file.
    """
    if wanted == "off":
        return identify
    return Signatures(keys, run_dir, wanted == "require", on_signature).identify


class Signatures:
    """Verifies model files, each on a private copy. Used by one thread at a time."""

    def __init__(self, keys: Keys, run_dir: Path, required: bool, on_signature: Callable[[str], None]) -> None:
        import model_signing  # noqa: F401  # here, so that a server without it does not start

        self._required = required
        self._on_signature = on_signature
        self._folder = run_dir / VERIFIED
        self._folder.mkdir(mode=0o700)
        self._keys: dict[str, tuple[str, Path]] = {}
        """The name and the file of each key, by what a signature calls it."""
        key_folder = run_dir / "signature-keys"
        key_folder.mkdir(mode=0o700)
        for digest, (name, pem) in keys.items():
            self._keys[digest] = name, key_folder / f"{digest}.pem"
            self._keys[digest][1].write_bytes(pem)
        self._copies: WeakValueDictionary[tuple[Path, str], PrivateCopy] = WeakValueDictionary()

    def identify(self, candidate: Candidate) -> ModelFile:
        """Identify a file by a private copy of it, with what its signature was found to be."""
        copy = PrivateCopy(self._folder, candidate.path, candidate.sidecar)
        try:
            copy.fill(candidate.parts, candidate.top, signature_of(candidate.path))
            copied = replace(candidate, path=copy.path, sidecar=copy.sidecar, folder=copy.folder.parent)
            file = identify(copied, copy.signature)
            signed = self._examined(copy)
        except OSError as e:
            copy.remove()
            if e.errno not in NO_ROOM:
                raise  # it has gone meanwhile
            file, signed = identify(candidate), Signed("no_room", _NO_ROOM, refused=True)
        if signed.refused:
            copy.remove()
        else:  # a file that was only touched does not need another copy
            copy = self._copies.setdefault((candidate.path, file.model_key), copy)
        self._tell(file, signed)
        return replace(file, path=candidate.path.absolute(), sidecar=copy.sidecar, copy=copy, signed=signed)

    def _examined(self, copy: PrivateCopy) -> Signed:
        if not copy.signature.exists():
            text = f"the model is not signed. {_cure(copy.path.name)}"
            return Signed("unsigned", text, refused=self._required)
        try:
            return Signed("verified", self._verified(copy))
        except BadSignature as e:
            return Signed("bad_signature", f"{e}. {_cure(copy.path.name)}", refused=self._required)

    def _verified(self, copy: PrivateCopy) -> str:
        """The name of the key that these very files were signed with. Raises BadSignature."""
        from model_signing import verifying

        name, public_key = self._keys.get(_key_named_in(copy.signature), (None, None))
        if name is None or public_key is None:
            raise BadSignature("the signature was not made with a key that this server trusts")
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key).set_hashing_config(_everything())
        try:
            config.verify(copy.folder, copy.signature)
        except Exception as e:  # the library lets out whatever an odd bundle makes its parsers raise
            if isinstance(e, OSError):
                raise
            log.warning("a signature does not hold", extra={"file": copy.path.name, "text": str(e)[:1000]})
            if str(e).startswith("Signature mismatch"):
                raise BadSignature("the model, its sidecar or a file beside it is not what was signed") from e
            raise BadSignature("the signature is damaged or not by the key that it names") from e
        return name

    def _tell(self, file: ModelFile, signed: Signed) -> None:
        self._on_signature(signed.outcome)
        about = {"model": file.name, "version": file.version}
        if signed.outcome == "verified":
            log.info("signature verified", extra=about | {"text": f"key {signed.text}"})
        elif not signed.refused:  # else the refusal tells
            log.warning("model without a good signature", extra=about | {"code": signed.outcome, "reason": signed.text})


_NO_ROOM = (
    "there is no room for the private copy on which its signature is verified; "
    "make room where temporary files are kept, or say in TMPDIR where there is some"
)


def _cure(name: str) -> str:
    return f"Sign it with `tandem sign {name} --key PRIVATE.pem`, with a key that this server trusts"


def _everything() -> HashingConfig:
    """Hashing that leaves no file out, whatever a signature or the library's habits say."""
    from model_signing import hashing

    class Everything(hashing.Config):
        def add_ignored_paths(self, *, model_path: object, paths: object) -> None:
            """A signature names files that its maker left out. All that will be read must have been signed."""

    return Everything().set_ignored_paths(paths=[], ignore_git_paths=False)


def _key_named_in(signature: Path) -> str:
    """Which key a signature says it was made with. Only a hint: it picks the key that must then fit."""
    if signature.stat().st_size > MAX_SIGNATURE_BYTES:
        raise BadSignature("the signature is larger than 16 MiB")
    try:
        return str(json.loads(signature.read_bytes())["verificationMaterial"]["publicKey"]["hint"])
    except (ValueError, LookupError, TypeError, RecursionError) as e:
        raise BadSignature("the signature file is not a signature by a key") from e


# Keys


def _public_keys(where: Path | None) -> Keys:
    """The keys in a file or a folder. Raises BadKeys."""
    if where is None:
        raise BadKeys(
            "TANDEM_SIGNATURE_KEY must name the public key (PEM), or a folder of such files, "
            "while TANDEM_MODEL_SIGNATURES is warn or require"
        )
    files = sorted(where.glob("*.pem")) if where.is_dir() else [where]
    if not files:
        raise BadKeys(f"TANDEM_SIGNATURE_KEY: there is no .pem file in {where}")
    return dict(_public_key(file) for file in files)


def _public_key(file: Path) -> tuple[str, tuple[str, bytes]]:
    try:
        key = serialization.load_pem_public_key(file.read_bytes())
    except OSError as e:
        raise BadKeys(f"TANDEM_SIGNATURE_KEY: {file} cannot be read: {e.strerror}") from e
    except (ValueError, UnsupportedAlgorithm) as e:
        raise BadKeys(f"TANDEM_SIGNATURE_KEY: {file} is not a public key (PEM)") from e
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise BadKeys(f"TANDEM_SIGNATURE_KEY: {file} is not a key on the curve P-256, P-384 or P-521")
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest(), (file.name, pem)


# Signing


def sign(path: Path, key: Path, ask_password: Callable[[], str]) -> tuple[Path, list[str]]:
    """Sign the model that would be served from `path`; where the signature is now, and what it covers.

    Raises SignError. `ask_password` is called where the key is protected by one.
    """
    candidate = candidate_at(path)
    if candidate is None:
        raise SignError(f"{path}: not a model file, nor the folder of one version or one script")
    password = _password(key, ask_password)
    from model_signing import signing

    signer = signing.Config().use_elliptic_key_signer(private_key=key, password=password)
    signature = signature_of(candidate.path)
    with tempfile.TemporaryDirectory(prefix="tandem-") as folder:
        copy = PrivateCopy(Path(folder), candidate.path, candidate.sidecar)
        try:
            copy.fill(candidate.parts, candidate.top)
            signer.set_hashing_config(_everything()).sign(copy.folder, copy.signature)
            signature.write_bytes(copy.signature.read_bytes())
        except OSError as e:
            raise SignError(f"{path}: cannot be signed: {e.strerror}") from e
        except UnicodeError as e:
            raise SignError(f"{path}: cannot be signed: the name of a file in it is not text (UTF-8)") from e
    return signature, sorted(candidate.parts)


def _password(key: Path, ask_password: Callable[[], str]) -> str | None:
    """What opens a private key, if anything must. Raises SignError."""
    try:
        pem = key.read_bytes()
    except OSError as e:
        raise SignError(f"{key} cannot be read: {e.strerror}") from e
    password = ask_password().encode() if b"ENCRYPTED" in pem else None
    try:
        private = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        what = "not a private key (PEM)" if password is None else "not a private key (PEM) that this password opens"
        raise SignError(f"{key} is {what}") from e
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in CURVES:
        raise SignError(
            f"{key} is not a key on the curve P-256, P-384 or P-521; "
            "make one: openssl ecparam -genkey -name prime256v1 -noout -out private.pem"
        )
    return cast(str, password)  # the library says text and hands it on to cryptography, which takes bytes only
