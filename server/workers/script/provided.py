"""The modules of Azure's packages that a scoring script may import without having the packages.

They are found last: where a script's environment has Azure's own packages, it gets those.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = {
    f"{package}.{module}": names
    for package in ("azureml_inference_server_http.api", "azureml.contrib.services")
    for module, names in (("aml_request", ("AMLRequest", "rawhttp")), ("aml_response", ("AMLResponse",)))
}
PACKAGES = {name.rsplit(".", depth)[0] for name in MODULES for depth in range(1, name.count(".") + 1)}


class Provided(MetaPathFinder, Loader):
    """Finds and makes these modules."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """One of these modules, or nothing."""
        if name in MODULES or name in PACKAGES:
            return ModuleSpec(name, self, is_package=name in PACKAGES)
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module. What it gives is imported now, not before a script wants it."""
        for name in MODULES.get(module.__name__, ()):
            source = importlib.import_module("server.workers.script.azureml_http")
            setattr(module, name, getattr(source, name))


def provide() -> None:
    """Have scripts find these modules."""
    sys.meta_path.append(Provided())
