#!/usr/bin/env python3
"""Asks pip-audit for advisories on each locked version: of what the locks name, not of what is installed.

    audit.py [LOCK...]

pip-audit finds nothing where its source knows nothing, and says "No known vulnerabilities found". So the source is
first asked about a version that is known to be vulnerable; where that is not said, nothing was audited. It ends with 0
where all was audited and nothing found, 1 where something was, 75 where advisories cannot be had.
PIP_AUDIT_VULNERABILITY_SERVICE names the only source to ask; else it is PyPI, or OSV.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("*.lock", "benchmarks/peers/*.lock", "docker/*.lock")
KNOWN = "django==3.0.2"
"""What PyPI's own documentation shows advisories with."""
SERVICES = os.environ.get("PIP_AUDIT_VULNERABILITY_SERVICE", "pypi osv").split()
ACCEPTED: dict[str, str] = {}
"""Advisories that do not concern Tandem, each with why; without that, one nobody has mended would stop every change."""
FOUND, NOT_AUDITED = 1, 75


class Unreachable(Exception):
    """A source of advisories cannot be asked; the text says why."""


def main(locks: list[Path]) -> int:
    """Audit these locks and say how it went; the exit status."""
    service, why = _service()
    if service is None:
        print(f"advisories cannot be reached: not audited ({why})")
        return NOT_AUDITED
    count, found, unknown = 0, 0, set()
    for lock in locks:
        for package in _asked(service, lock):
            name = f"{package['name']} {package.get('version', '')}".strip()
            if "skip_reason" in package:
                unknown.add(name)
                continue
            count += 1
            for advisory in _open(package):
                found += 1
                mended = ", ".join(advisory["fix_versions"]) or "no version yet"
                print(f"{_shown(lock)}: {name}: {advisory['id']}, mended in {mended}")
    if unknown:
        print(f"unknown to {service}, not audited: {', '.join(sorted(unknown))}")
    print(f"audited by {service}: {count} packages of {len(locks)} locks, {found or 'no'} advisories")
    return FOUND if found else 0


def _service() -> tuple[str | None, str]:
    """The first source that knows what is known; or none, and why."""
    reasons = []
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder) / "known.txt"
        known.write_text(f"{KNOWN}\n")
        for service in SERVICES:
            try:
                if any(package.get("vulns") for package in _asked(service, known)):
                    return service, ""
                reasons.append(f"{service} knows nothing of {KNOWN}")
            except Unreachable as e:
                reasons.append(f"{service}: {e}")
    return None, "; ".join(reasons)


def _asked(service: str, requirements: Path) -> list[dict[str, Any]]:
    """Each package with its advisories, as pip-audit tells of them. Raises Unreachable."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--requirement", requirements]
    options = ["--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    done = subprocess.run([*command, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        lines = done.stderr.strip().splitlines() or [f"pip-audit ended with {done.returncode}"]
        raise Unreachable(lines[-1].partition(":")[0][:100]) from None
    return packages


def _open(package: dict[str, Any]) -> list[dict[str, Any]]:
    """The advisories of a package that are not accepted under any of their names."""
    return [one for one in package["vulns"] if not ACCEPTED.keys() & {one["id"], *one["aliases"]}]


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


if __name__ == "__main__":
    given = [Path(argument).resolve() for argument in sys.argv[1:]]
    try:
        sys.exit(main(given or sorted(path for pattern in LOCKS for path in ROOT.glob(pattern))))
    except Unreachable as e:
        print(f"advisories could not be reached to the end: not audited ({e})")
        sys.exit(NOT_AUDITED)
