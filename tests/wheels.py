"""Wheels made by hand, so that installing one needs no network."""

from __future__ import annotations

import zipfile
from pathlib import Path


def wheel(folder: Path, package: str, version: str, code: str = "", requires: str = "", extra: str = "") -> str:
    """Make a wheel of one module, which says its VERSION unless there is other code; its file name.

    It may ask for another package, and have an extra, which asks for nothing.
    """
    fields = {"Requires-Dist": requires, "Provides-Extra": extra}
    more = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
    name, about = f"{package}-{version}-py3-none-any.whl", f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as file:
        file.writestr(f"{package}.py", code or f'VERSION = "{version}"\n')
        file.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n{more}")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"{package}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return name
