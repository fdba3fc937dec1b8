"""Does the real az accept these commands? Each line of standard input is one, as a JSON list of its arguments.

Parsed and validated by az's own code, and not run. For a Python that has azure-cli (700 MB, so no part of our tests):

    python3 -m venv /tmp/az && /tmp/az/bin/pip install azure-cli==2.91.0
    .venv/bin/python -m tests.k8s.test_aks | /tmp/az/bin/python k8s/aks/parse_az.py
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
PROFILE = {
    "subscriptions": [
        {
            "id": SUBSCRIPTION,
            "name": "none",
            "state": "Enabled",
            "isDefault": True,
            "tenantId": SUBSCRIPTION,
            "environmentName": "AzureCloud",
            "user": {"name": "nobody", "type": "user"},
        }
    ]
}
VERDICTS = {
    "": "ok",
    "Max retries exceeded": "ok so far",  # parsed; a validator then asks Azure, which is not there
    "command is from an extension": "extension",  # az grafana: extension amg, which PyPI does not have
}


def stand_in(words: list[str], folder: Path) -> list[str]:
    """The same, with something in the place of files and folders that were there when the scripts ran."""
    file, place = folder / "file.json", folder / "place"
    file.write_text("{}")
    place.mkdir(exist_ok=True)
    stand_ins = {"--file": file, "--definition": file, "--source": place}
    return [
        str(stand_ins.get(option, word)) if not Path(word).exists() else word
        for option, word in zip(["", *words], words, strict=False)
    ]


def answer(words: list[str], said: io.StringIO) -> str:
    """What az has against the command; nothing if it takes it."""
    from azure.cli.core import get_default_cli

    said.seek(0)
    said.truncate()
    try:
        code = get_default_cli().invoke(words, out_file=io.StringIO())
    except SystemExit as stop:
        code = stop.code
    return "" if code in (0, None) else said.getvalue().strip() or f"exit code {code}"


def main() -> int:
    """1 if az refuses a command."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()) as said:
        folder = Path(name)
        (folder / "azureProfile.json").write_text(json.dumps(PROFILE))
        os.environ |= {"AZURE_CONFIG_DIR": name, "AZURE_CORE_COLLECT_TELEMETRY": "no"}
        os.environ |= {"AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "no", "AZURE_CORE_OUTPUT": "none"}
        from azure.cli.core.commands import AzCliCommandInvoker

        AzCliCommandInvoker._run_jobs_serially = lambda self, jobs, ids: ([], [])
        refused = 0
        for words in {line: json.loads(line) for line in sys.stdin}.values():
            against = answer(stand_in(words, folder), said)
            verdict = VERDICTS.get(next((text for text in VERDICTS if text and text in against), against), "REFUSED")
            refused += verdict == "REFUSED"
            sys.stdout.write(" ".join([f"{verdict}: az", *words]) + "\n")
            if verdict == "REFUSED":
                sys.stdout.write(f"    {against}\n")
    return min(refused, 1)


if __name__ == "__main__":
    sys.exit(main())
