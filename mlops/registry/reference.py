"""How a version is written: `diabetes:7`, `diabetes@champion`, as Azure has it with `azureml:` before it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mlops.registry.errors import RegistryError

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""The form of a model's name, which is that of model files."""
ALIAS: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_REFERENCE: Final = re.compile(r"(?:azureml:)?([^:@]+)(?::([1-9][0-9]{0,7})|@([^:@]+))")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model, with either the number of a version or an alias."""

    model: str
    number: int | None = None
    alias: str | None = None


def parse(text: str) -> Reference:
    """The reference that a text stands for. Raises RegistryError."""
    found = _REFERENCE.fullmatch(text.strip())
    if found is None:
        raise RegistryError(
            "bad_reference", f"{text!r} names no version; write model:3 for a number, or model@champion for an alias"
        )
    model, number, alias = found.groups()
    check_model(model)
    if alias is not None:
        check_alias(alias)
    return Reference(model, int(number) if number else None, alias)


def check_model(name: str) -> None:
    """Raise RegistryError where no model can be called this."""
    if not NAME.fullmatch(name):
        what = "letters, digits, '.', '_' and '-', at most 100, a letter or a digit first"
        raise RegistryError("bad_reference", f"{name!r} is no name of a model; names have {what}")


def check_alias(alias: str) -> None:
    """Raise RegistryError where no alias can be called this: a number would be taken for a version's."""
    if not ALIAS.fullmatch(alias):
        what = "small letters, digits and '-', at most 32, a letter first"
        raise RegistryError("bad_reference", f"{alias!r} is no name of an alias; names have {what}")
