"""Packages made by hand, so that installing one needs no network."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path


def wheel(
    folder: Path,
    package: str,
    version: str,
    code: str = "",
    requires: str = "",
    extra: str = "",
    more: Mapping[str, str] | None = None,
) -> str:
    """Make a wheel of one module, which says its VERSION unless there is other code; its file name.

    It may ask for another package, have an extra, which asks for nothing, and have more files.
    """
    fields = {"Requires-Dist": requires, "Provides-Extra": extra}
    lines = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    name, about = f"{package}-{version}-py3-none-any.whl", f"{package}-{version}.dist-info"
    files = {
        f"{package}.py": code or f'VERSION = "{version}"\n',
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{lines}",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(more or {}),
    }
    with zipfile.ZipFile(folder / name, "w") as file:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            file.writestr(entry, text)
        file.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD")))
    return name


BACKEND = """
{code}
import pathlib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    about = "{package}-{version}.dist-info/"
    files = {{
        "{package}.py": 'VERSION = "{version}"',
        about + "METADATA": "Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n",
        about + "WHEEL": "Wheel-Version: 1.0\\nGenerator: us\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        about + "RECORD": "",
    }}
    name = "{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as file:
        for path, text in files.items():
            file.writestr(path, text)
    return name
"""


def source(folder: Path, package: str, version: str, code: str = "") -> str:
    """Make a source package that runs this code where it is built; its file name."""
    name = f"{package}-{version}"
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n",
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": BACKEND.format(package=package, version=version, code=code),
    }
    with tarfile.open(folder / f"{name}.tar.gz", "w:gz") as file:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size = len(text.encode())
            file.addfile(member, io.BytesIO(text.encode()))
    return f"{name}.tar.gz"
