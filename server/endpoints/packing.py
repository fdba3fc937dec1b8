"""A deployment with code or files of its own, put together as a model version that a server can be sent.

Owns how Azure's keys `model.path`, `code_configuration`, `environment` and `environment_variables` become files of a
model folder, and that the same files are the same version. Must not know how they are sent.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from server.endpoints.conda import requirements_of
from server.endpoints.definition import BadDefinition
from server.endpoints.yaml_text import document as read_document

VERSION_DIGITS: Final = 12
ENVIRONMENT: Final = "tandem-environment.json"
"""File beside a script: variables that are set before it is imported."""
SIDECAR: Final = "model.yaml"
SKIPPED: Final = ("__pycache__", ".git", ".ipynb_checkpoints", ".DS_Store")
_KEYS: Final = ("code_configuration", "environment", "environment_variables", "model", "instance_count")


@dataclass(frozen=True, slots=True)
class Packed:
    """The files of a version, as a tar, and the definition that names it."""

    model: str
    version: str
    r: bool
    archive: bytes
    document: Mapping[str, Any]
    warnings: tuple[str, ...]


def brings_files(document: Mapping[str, Any]) -> bool:
    """Whether a definition has files of its own."""
    model = document.get("model")
    return "code_configuration" in document or (isinstance(model, Mapping) and "path" in model)


def model_of(endpoint: str, deployment: str) -> str:
    """The name of the model whose versions are what a deployment has brought."""
    return f"{endpoint}-{deployment}"


def packed(document: Mapping[str, Any], beside: Path) -> Packed:
    """Put the files together that a definition names, by paths that begin where it lies. Raises BadDefinition."""
    files, warnings = _files(document, beside)
    archive = _archive(files)
    r = any(name in files for name in ("score.R", "model.rds", "model.RData"))
    model = model_of(str(document.get("endpoint_name")), str(document.get("name")))
    version = hashlib.sha256(archive).hexdigest()[:VERSION_DIGITS]
    left = {key: value for key, value in document.items() if key not in _KEYS}
    return Packed(model, version, r, archive, left | {"model": f"azureml:{model}:{version}"}, tuple(warnings))


def _files(document: Mapping[str, Any], beside: Path) -> tuple[dict[str, bytes], list[str]]:
    code, model = document.get("code_configuration"), document.get("model")
    files: dict[str, bytes] = {}
    warnings: list[str] = []
    if code is None:
        return _of_model(_path(model, "path", "model", beside), whole=True), warnings
    if not isinstance(code, Mapping) or not isinstance(code.get("scoring_script"), str):
        raise _bad("code_configuration", "has 'code', a folder, and 'scoring_script', a file in it")
    files |= _tree(_path(code, "code", "code_configuration", beside), "")
    _name_script(files, code["scoring_script"])
    if isinstance(model, Mapping):
        files |= _of_model(_path(model, "path", "model", beside), whole=False)
    elif model is not None:
        raise _bad("model", "a scoring script brings its model as files: model.path names a file or a folder")
    lines = _requirements(document.get("environment"), beside, warnings)
    if lines and "score.py" in files:
        files.setdefault("requirements.txt", "".join(f"{line}\n" for line in lines).encode())
    _add_settings(files, document)
    return files, warnings


def _of_model(path: Path, whole: bool) -> dict[str, bytes]:
    """The files of a model: in a folder of the path's name beside a script; as the `whole` version without one."""
    if path.is_dir():
        return _tree(path, "" if whole else f"{path.name}/")
    return {f"model{path.suffix}" if whole else path.name: path.read_bytes()}


def _tree(folder: Path, prefix: str) -> dict[str, bytes]:
    if not folder.is_dir():
        raise _bad("code_configuration", f"there is no folder {folder.name}")
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part in SKIPPED for part in name.parts):
            found[prefix + name.as_posix()] = path.read_bytes()
    return found


def _name_script(files: dict[str, bytes], script: str) -> None:
    """Have the script be called as a server looks for it."""
    if script not in files:
        raise _bad("code_configuration.scoring_script", f"there is no {script} in the folder of the code")
    stem, _, ending = script.rpartition(".")
    if script in ("score.py", "score.R"):
        return
    if ending != "py" or not stem.replace("/", ".").replace(".", "a").isidentifier() or "score.py" in files:
        raise _bad("code_configuration.scoring_script", f"is {script}; call it score.py or score.R")
    files["score.py"] = f"from {stem.replace('/', '.')} import init, run\n\n__all__ = ['init', 'run']\n".encode()


def _requirements(environment: Any, beside: Path, warnings: list[str]) -> list[str]:
    if environment is None:
        return []
    if isinstance(environment, str):
        warnings.append("'environment' changes nothing: a named environment is Azure's; conda_file says the packages")
        return []
    if not isinstance(environment, Mapping):
        raise _bad("environment", "has keys of its own, one a line")
    unknown = set(environment) - {"conda_file", "image", "name", "version", "description", "tags", "$schema", "os_type"}
    if unknown:
        key = sorted(unknown)[0]
        raise BadDefinition("unsupported_field", f"'environment.{key}' is not supported here: {BUILT}", "environment")
    if "image" in environment:
        warnings.append("'environment.image' changes nothing: scripts run on the server's own Python")
    conda = environment.get("conda_file")
    if conda is None:
        return []
    if isinstance(conda, Mapping):
        data, name = conda, "conda_file"
    else:
        path = _path(environment, "conda_file", "environment", beside)
        data, name = read_document(path.read_bytes(), path.name).data, path.name
    lines, told = requirements_of(data, name)
    warnings += told
    return lines


BUILT: Final = "images are not built; name packages in 'conda_file', or in a requirements.txt beside the script"


def _add_settings(files: dict[str, bytes], document: Mapping[str, Any]) -> None:
    variables = document.get("environment_variables")
    if variables is not None:
        if not isinstance(variables, Mapping) or "score.R" in files:
            raise _bad("environment_variables", "has names with values, for a script of Python")
        said = {str(name): str(value) for name, value in sorted(variables.items())}
        files[ENVIRONMENT] = json.dumps(said).encode()
    instances = document.get("instance_count")
    if type(instances) is int and instances > 0 and SIDECAR not in files:
        files[SIDECAR] = yaml.safe_dump({"workers": min(instances, 64)}).encode()


def _path(data: Any, key: str, of: str, beside: Path) -> Path:
    value = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(value, str):
        raise _bad(f"{of}.{key}", "is the path of a file or a folder, from where the definition lies")
    path = (beside / value).resolve()
    if not path.exists():
        raise _bad(f"{of}.{key}", f"is {value!r}, where there is nothing")
    return path


def _archive(files: Mapping[str, bytes]) -> bytes:
    """A tar that is the same for the same files: no times, no owners, one order."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return written.getvalue()


def _bad(key: str, text: str) -> BadDefinition:
    return BadDefinition("bad_definition", f"'{key}' {text}", key)
