"""Writes the image's SBOM, in its build: /build/sbom.cdx.json, CycloneDX 1.6.

The Python packages come from cyclonedx-py; Debian's, R and its packages among them, from dpkg's own list.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

BUILD = Path("/build")
SBOM = BUILD / "sbom.cdx.json"
ENVIRONMENT = Path("/opt/tandem/.venv")


def python_packages() -> dict[str, Any]:
    """An SBOM of the environment, with Tandem as what it is about."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--sv", "1.6", "--output-reproducible"]
    about = ["--pyproject", str(BUILD / "pyproject.toml"), "--mc-type", "application", str(ENVIRONMENT)]
    sbom: dict[str, Any] = json.loads(subprocess.run(command + about, check=True, capture_output=True).stdout)
    return sbom


def debian_packages() -> list[dict[str, Any]]:
    """A component for each package that is installed."""
    columns = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n"
    command = ["dpkg-query", f"--admindir={BUILD}", "-W", "-f", columns]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    packages = [line.split() for line in lines]
    return [component(*fields) for status, *fields in packages if status == "installed"]


def component(name: str, version: str, architecture: str) -> dict[str, Any]:
    """One package, named as https://github.com/package-url/purl-spec says."""
    release = platform.freedesktop_os_release()["VERSION_ID"]
    purl = f"pkg:deb/debian/{name}@{quote(version, safe='')}?arch={architecture}&distro=debian-{release}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def main() -> int:
    sbom = python_packages()
    sbom["components"] += debian_packages()
    text = json.dumps(sbom, indent=1)
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        sys.exit(f"sbom.py: not CycloneDX 1.6: {fault}")
    SBOM.write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
