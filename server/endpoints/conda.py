"""A conda file as the requirements of a script: what conda and pip would install, by pip's names.

Owns which of conda's lines have a meaning for pip. Must not know where the file came from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from server.endpoints.definition import BadDefinition

SERVING = frozenset({"azureml-defaults", "azureml-inference-server-http", "azureml-core", "gunicorn", "flask", "pip"})
"""Packages of Azure's own server, for which Tandem stands."""
OF_THE_MACHINE = frozenset({"python", "setuptools", "wheel", "libgcc-ng", "openssl", "ca-certificates", "cudatoolkit"})
_PIPS_NAMES = {"pytorch": "torch", "py-xgboost": "xgboost", "matplotlib-base": "matplotlib"}
_SPEC = re.compile(r"(?:[\w-]+::)?(?P<name>[A-Za-z0-9._-]+)\s*(?P<rest>.*)")
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def requirements_of(data: Mapping[str, Any], file: str) -> tuple[list[str], list[str]]:
    """The lines of a requirements.txt, and warnings. Raises BadDefinition."""
    dependencies = data.get("dependencies") or []
    if not isinstance(dependencies, list):
        raise _bad(file, "'dependencies' is a list")
    lines: list[str] = []
    warnings: list[str] = []
    for one in dependencies:
        if isinstance(one, Mapping) and list(one) == ["pip"] and isinstance(one["pip"], list):
            lines += [line for line in map(str, one["pip"]) if _kept(line, file, warnings)]
        elif isinstance(one, str):
            line = _of_conda(one, file)
            lines += [line] if _kept(line, file, warnings) else []
        else:
            raise _bad(file, f"{one!r} is no dependency: a text, or 'pip' with a list")
    return lines, warnings


def _kept(line: str, file: str, warnings: list[str]) -> bool:
    found = _NAME.match(line)
    name = found[0].lower().replace("_", "-") if found else ""
    if name in OF_THE_MACHINE:
        warnings.append(f"{file}: '{line}' changes nothing: it is the server's")
    return name not in SERVING | OF_THE_MACHINE


def _of_conda(text: str, file: str) -> str:
    """One of conda's lines (`numpy=1.26`, `conda-forge::scipy>=1.10`, `pip=22=py310_0`) as pip writes it."""
    found = _SPEC.fullmatch(text.strip())
    if found is None:
        raise _bad(file, f"{text!r} is no dependency")
    name, rest = _PIPS_NAMES.get(found["name"], found["name"]), found["rest"].replace(" ", "")
    if not rest or rest == "*":
        return name
    if rest[0] == "=" and not rest.startswith("=="):
        version = rest[1:].partition("=")[0]  # what follows is conda's build of it
        return f"{name}=={version}" if version.count(".") > 1 or version.endswith("*") else f"{name}=={version}.*"
    return f"{name}{rest}"


def _bad(file: str, text: str) -> BadDefinition:
    return BadDefinition("bad_definition", f"{file}: {text}", "environment.conda_file")
